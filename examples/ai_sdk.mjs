// Vercel's AI SDK: a streamed answer with a tool.
// Start the gateway (make run), then: npm install ai @ai-sdk/openai zod && node examples/ai_sdk.mjs
import { createOpenAI } from "@ai-sdk/openai";
import { stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

const gateway = createOpenAI({
  baseURL: `${process.env.OPENRESPONSES_URL ?? "http://127.0.0.1:4000"}/v1`,
  apiKey: process.env.OPENRESPONSES_API_KEY ?? "unused",
});

const getWeather = tool({
  description: "The weather in a city.",
  inputSchema: z.object({ city: z.string() }),
  execute: async ({ city }) => `${city}: sunny, 21 °C`,
});

const result = streamText({
  model: gateway.responses(process.env.MODEL ?? "echo"),
  prompt: "What is the weather in Oslo?",
  tools: { get_weather: getWeather },
  stopWhen: stepCountIs(5),
});
for await (const text of result.textStream) process.stdout.write(text);
console.log();
