// The Vercel AI SDK with @ai-sdk/open-responses.
import { createOpenResponses } from "@ai-sdk/open-responses";
import { scenarios } from "./ai_sdk.mjs";
import { serve } from "./common.mjs";

const NAME = "gateway";
const provider = (task) => createOpenResponses({ name: NAME, url: `${task.base_url}/v1/responses`, apiKey: "unused" });

serve(
  scenarios((task) => provider(task)(task.model), {
    [NAME]: { reasoningEffort: "low", reasoningSummary: "auto" },
  }),
);
