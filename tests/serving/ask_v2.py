"""Asks a model over V2 with KServe's own clients: python ask_v2.py PORT MODEL MILES, in the serving stack."""

import asyncio
import json
import sys

import numpy as np
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest, RESTConfig

port, model, miles = int(sys.argv[1]), sys.argv[2], float(sys.argv[3])


def request() -> InferRequest:
    number = InferInput("miles", [1, 1], "FP64")
    number.set_data_from_numpy(np.array([[miles]]), binary_data=False)
    text = InferInput("payment", [1, 1], "BYTES")
    text.set_data_from_numpy(np.array([["Cash"]], dtype=object), binary_data=False)
    return InferRequest(model_name=model, infer_inputs=[number, text])


async def main() -> None:
    rest = InferenceRESTClient(RESTConfig(protocol="v2"))
    over_rest = await rest.infer(f"http://127.0.0.1:{port}", request(), model_name=model)
    grpc = InferenceGRPCClient(f"127.0.0.1:{port}")
    over_grpc = await grpc.infer(request())
    found = {
        name: {output.name: output.as_numpy().ravel().tolist() for output in answer.outputs}
        for name, answer in (("rest", over_rest), ("grpc", over_grpc))
    }
    print(json.dumps(found, default=str))


asyncio.run(main())
