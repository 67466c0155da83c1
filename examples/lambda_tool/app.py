"""A tool that runs in a Lambda function of yours: the arguments come as the event, what is returned is the result.

Deploy this function, put its ARN into tools.toml beside it, start the gateway with that file and AWS credentials that
may invoke it (OPENRESPONSES_CONFIG=examples/lambda_tool/tools.toml make run), then: sh examples/lambda_tool/ask.sh
"""

STOCK = {"parrot": 3, "cage": 0}


def handler(event, context):
    thing = event["thing"]
    return {"thing": thing, "in_stock": STOCK.get(thing, 0)}
