"""Asks a model over V2 with KServe's gRPC client; prints who answered, as JSON. Runs in the serving stack.

python ask_gateway.py GATEWAY HOST MODEL REQUEST_IN_V2 TIMES [VERSION]
"""

import asyncio
import json
import sys
from collections import Counter

from kserve import InferenceGRPCClient, InferInput, InferRequest

gateway, host, model, request, times, *forced = sys.argv[1:]
metadata = [("x-model-version", version) for version in forced]


def infer_request() -> InferRequest:
    inputs = [
        InferInput(one["name"], one["shape"], one["datatype"], data=one["data"])
        for one in json.loads(request)["inputs"]
    ]
    return InferRequest(model_name=model, infer_inputs=inputs)


async def main() -> None:
    client = InferenceGRPCClient(gateway, channel_args=[("grpc.default_authority", host)], retries=0)
    answered: Counter[str] = Counter()
    for _ in range(int(times)):
        answer = await client.infer(infer_request(), headers=metadata)
        answered[str(answer.model_version)] += 1
    await client.close()
    print(json.dumps(answered))


asyncio.run(main())
