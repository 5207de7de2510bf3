"""The style sheet of every report: light and dark, phone and desktop."""

STYLE = """
:root{color-scheme:light dark;--page:#fff;--card:#f5f7f9;--ink:#17212b;--soft:#52606d;--line:#d5dce3;
--s0:#1f6feb;--s1:#d9730d;--s2:#1a7f5a;--s3:#8250df;--s4:#b4236b;--s5:#5c6b7a;
--pass:#176f45;--pass-back:#e3f5ec;--warn:#8a5200;--warn-back:#fff3dc;--block:#b3261e;--block-back:#fdeceb;
--info:#1d5b96;--info-back:#e6f1fb}
@media (prefers-color-scheme:dark){:root{--page:#11171d;--card:#1a222b;--ink:#e6edf3;--soft:#9fb0c0;--line:#33404d;
--s0:#6cb0ff;--s1:#f3a054;--s2:#56c596;--s3:#b797ff;--s4:#f27fb2;--s5:#93a4b5;
--pass:#6fdca6;--pass-back:#12301f;--warn:#f5c266;--warn-back:#33260c;--block:#ff9a91;--block-back:#3a1614;
--info:#8cc4fb;--info-back:#132a40}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,
"DejaVu Sans",sans-serif}
main{max-width:72rem;margin:0 auto;padding:1.25rem clamp(.9rem,3vw,2rem) 4rem}
h1{font-size:1.6rem;line-height:1.2;margin:.2rem 0}h2{font-size:1.2rem;margin:2.2rem 0 .6rem}
h3{font-size:1rem;margin:1.4rem 0 .4rem}p{max-width:75ch;margin:.6rem 0}
.subtitle{color:var(--soft);margin:.1rem 0 1rem}.note,figcaption{color:var(--soft);font-size:.875rem}
a{color:var(--s0)}code{font:.875em ui-monospace,"DejaVu Sans Mono",monospace;overflow-wrap:anywhere}
pre{background:var(--card);padding:.8rem;border-radius:.5rem;overflow-x:auto;font-size:.85rem}
.verdict{display:flex;gap:.8rem;align-items:flex-start;max-width:none;padding:.8rem 1rem;border-radius:.6rem;
border-left:.4rem solid;font-size:1.05rem}
.verdict strong{margin-right:.35rem}.symbol{font-weight:700;font-size:1.2rem;line-height:1.3}
.pass{color:var(--pass);border-color:var(--pass)}.warn{color:var(--warn);border-color:var(--warn)}
.block{color:var(--block);border-color:var(--block)}.info{color:var(--info);border-color:var(--info)}
.verdict.pass{background:var(--pass-back)}.verdict.warn{background:var(--warn-back)}
.verdict.block{background:var(--block-back)}.verdict.info{background:var(--info-back)}
.badge{white-space:nowrap;font-weight:600;font-size:.875rem}
.facts{display:grid;grid-template-columns:repeat(auto-fit,minmax(9.5rem,1fr));gap:.6rem;margin:1rem 0}
.facts div{background:var(--card);border-radius:.5rem;padding:.55rem .8rem;min-width:0}
.facts dt{color:var(--soft);font-size:.8rem}.facts dd{margin:0;font-weight:600;overflow-wrap:anywhere}
.scroll{overflow-x:auto;margin:.8rem 0;border:1px solid var(--line);border-radius:.5rem}
table{border-collapse:collapse;width:100%;font-size:.9rem;font-variant-numeric:tabular-nums}
caption{text-align:left;padding:.55rem .7rem;color:var(--soft);font-size:.875rem}
th,td{padding:.4rem .7rem;text-align:left;vertical-align:top;border-top:1px solid var(--line)}
thead th{border-top:0;background:var(--card);font-size:.8rem;color:var(--soft);white-space:nowrap}
tbody th{font-weight:600;overflow-wrap:break-word;min-width:7rem;max-width:22rem}.number{text-align:right;white-space:nowrap}
td.long{min-width:13rem}caption>span{display:block;position:sticky;left:.7rem;width:fit-content;
max-width:min(100%,calc(100vw - 4rem))}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(22rem,100%),1fr));gap:1.2rem;margin:1rem 0}
figure{margin:0;min-width:0}figure svg{width:100%;max-width:40rem;height:auto;display:block}
details{margin:.8rem 0;border:1px solid var(--line);border-radius:.5rem;padding:.2rem .9rem}
details>summary{cursor:pointer;font-weight:600;padding:.4rem 0}
details .scroll{border:0}
svg text{fill:var(--ink);font:12px system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
svg .soft{fill:var(--soft)}svg .title{font-weight:600;font-size:13px}
svg .axis{stroke:var(--soft);stroke-width:1}svg .grid{stroke:var(--line);stroke-width:1}
svg .cell-text{font-size:11px}
.f0{fill:var(--s0)}.f1{fill:var(--s1)}.f2{fill:var(--s2)}.f3{fill:var(--s3)}.f4{fill:var(--s4)}.f5{fill:var(--s5)}
.l0{stroke:var(--s0)}.l1{stroke:var(--s1)}.l2{stroke:var(--s2)}.l3{stroke:var(--s3)}.l4{stroke:var(--s4)}
.l5{stroke:var(--s5)}.line{fill:none;stroke-width:2;stroke-linejoin:round}.dashed{stroke-dasharray:5 4}
.band{opacity:.18;stroke:none}.faint{opacity:.45}
@media print{.scroll{overflow:visible}details{border:0}}
""".replace("\n", "")
