// The Vercel AI SDK with @ai-sdk/openai.
import { createOpenAI } from "@ai-sdk/openai";
import { scenarios } from "./ai_sdk.mjs";
import { INCLUDE, serve } from "./common.mjs";

const model = (task) => createOpenAI({ baseURL: `${task.base_url}/v1`, apiKey: "unused" }).responses(task.model);

// forceReasoning: the SDK knows OpenAI's reasoning models by their names, and no others.
const openai = {
  forceReasoning: true, store: false, include: INCLUDE, reasoningEffort: "low", reasoningSummary: "auto",
};
serve(scenarios(model, { openai }));
