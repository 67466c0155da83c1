// openai-agents: an agent, run to its end and streamed.
import { Agent, OpenAIResponsesModel, Runner, setTracingDisabled, tool } from "@openai/agents";
import OpenAI from "openai";
import { City, DESCRIPTION, EFFORT, INCLUDE, INSTRUCTIONS, Sum, Weather, dataUrl, serve } from "./common.mjs";

setTracingDisabled(true);
const runner = new Runner();

function agent(task, more = {}) {
  const client = new OpenAI({ baseURL: `${task.base_url}/v1`, apiKey: "unused", maxRetries: 0 });
  return new Agent({ name: "Helper", instructions: INSTRUCTIONS, model: new OpenAIResponsesModel(client, task.model), ...more });
}

const weatherTool = (weather) =>
  tool({ name: "get_weather", description: DESCRIPTION, parameters: City, execute: weather.getWeather });

async function text(task) {
  const { finalOutput, state } = await runner.run(agent(task), "Say hello.");
  const usage = state.usage;
  return { text: finalOutput, input_tokens: usage.inputTokens, output_tokens: usage.outputTokens };
}

async function tools(task, prompt = "Weather in Oslo?", more = {}) {
  const weather = new Weather();
  const result = await runner.run(agent(task, { tools: [weatherTool(weather)], ...more }), prompt);
  const reasoning = result.newItems
    .filter((item) => item.type === "reasoning_item")
    .flatMap((item) => item.rawItem.content.map((part) => part.text));
  return { text: result.finalOutput, ran: weather.ran, reasoning: reasoning.join("") };
}

async function stream(task) {
  const pieces = [];
  const result = await runner.run(agent(task), "Tell me.", { stream: true });
  for await (const piece of result.toTextStream()) pieces.push(piece);
  await result.completed;
  return { text: pieces.join(""), pieces: pieces.length };
}

serve({
  text,
  error: text,
  stream,
  tools: (task) => tools(task),
  async stream_tools(task) {
    const weather = new Weather();
    const result = await runner.run(agent(task, { tools: [weatherTool(weather)] }), "Weather in Oslo?", { stream: true });
    for await (const event of result) void event;
    await result.completed;
    return { text: result.finalOutput, ran: weather.ran };
  },
  parallel: (task) => tools(task, "Weather in Oslo and Lima?"),
  reasoning: (task) =>
    tools(task, "Weather in Oslo?", {
      modelSettings: { store: false, maxTokens: 4096, reasoning: EFFORT, providerData: { include: INCLUDE } },
    }),
  async structured(task) {
    return { value: (await runner.run(agent(task, { outputType: Sum }), "2 + 3 = ?")).finalOutput };
  },
  async chain(task) {
    const first = await runner.run(agent(task), "I am Ada.");
    const previousResponseId = first.lastResponseId;
    return { text: (await runner.run(agent(task), "Who am I?", { previousResponseId })).finalOutput };
  },
  async history(task) {
    const { history } = await runner.run(agent(task), "I am Ada.");
    return { text: (await runner.run(agent(task), [...history, { role: "user", content: "Who am I?" }])).finalOutput };
  },
  async image(task) {
    const content = [{ type: "input_text", text: "What is it?" }, { type: "input_image", image: dataUrl(task) }];
    return { text: (await runner.run(agent(task), [{ role: "user", content }])).finalOutput };
  },
  async cancel(task) {
    const leaving = new AbortController();
    const result = await runner.run(agent(task), "Go on.", { stream: true, signal: leaving.signal });
    for await (const piece of result.toTextStream()) {
      leaving.abort();
      return { text: piece };
    }
  },
});
