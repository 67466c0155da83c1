// The openai SDK.
import OpenAI from "openai";
import { zodTextFormat } from "openai/helpers/zod";
import { EFFORT, INCLUDE, INSTRUCTIONS, Sum, WEATHER_TOOL, Weather, dataUrl, serve } from "./common.mjs";

const client = (task) => new OpenAI({ baseURL: `${task.base_url}/v1`, apiKey: "unused", maxRetries: 0 });

async function text(task) {
  const request = { model: task.model, input: "Say hello.", instructions: INSTRUCTIONS };
  const { output_text, usage } = await client(task).responses.create(request);
  return { text: output_text, input_tokens: usage.input_tokens, output_tokens: usage.output_tokens };
}

async function stream(task) {
  const pieces = [];
  const events = await client(task).responses.create({ model: task.model, input: "Tell me.", stream: true });
  for await (const event of events) if (event.type === "response.output_text.delta") pieces.push(event.delta);
  return { text: pieces.join(""), pieces: pieces.length };
}

const outputs = (response, weather) =>
  response.output
    .filter((item) => item.type === "function_call")
    .map(({ call_id, arguments: given }) => {
      return { type: "function_call_output", call_id, output: weather.getWeather(JSON.parse(given)) };
    });

// A tool loop by the full history.
async function loop(prompt, answer) {
  const weather = new Weather();
  const history = [{ role: "user", content: prompt }];
  let reasoning = "";
  for (;;) {
    const response = await answer(history);
    for (const item of response.output)
      if (item.type === "reasoning") reasoning += item.summary.map((part) => part.text).join("");
    const results = outputs(response, weather);
    if (!results.length) return { text: response.output_text, ran: weather.ran, reasoning };
    history.push(...response.output, ...results);
  }
}

const tools = (task, prompt = "Weather in Oslo?", more = {}) =>
  loop(prompt, (input) =>
    client(task).responses.create({ model: task.model, input, tools: [WEATHER_TOOL], ...more }),
  );

serve({
  text,
  error: text,
  stream,
  tools: (task) => tools(task),
  // The accumulating helper, which throws at events that it does not know.
  stream_tools: (task) =>
    loop("Weather in Oslo?", (input) =>
      client(task).responses.stream({ model: task.model, input, tools: [WEATHER_TOOL] }).finalResponse(),
    ),
  parallel: (task) => tools(task, "Weather in Oslo and Lima?"),
  reasoning: (task) =>
    tools(task, "Weather in Oslo?", { store: false, include: INCLUDE, reasoning: EFFORT, max_output_tokens: 4096 }),
  async structured(task) {
    const format = zodTextFormat(Sum, "sum");
    const request = { model: task.model, input: "2 + 3 = ?", text: { format } };
    return { value: (await client(task).responses.parse(request)).output_parsed };
  },
  async chain(task) {
    const { responses } = client(task);
    const first = await responses.create({ model: task.model, input: "I am Ada." });
    const request = { model: task.model, input: "Who am I?", previous_response_id: first.id };
    return { text: (await responses.create(request)).output_text };
  },
  async history(task) {
    const { responses } = client(task);
    const input = [{ role: "user", content: "I am Ada." }];
    const more = { model: task.model, store: false, include: INCLUDE };
    input.push(...(await responses.create({ input, ...more })).output, { role: "user", content: "Who am I?" });
    return { text: (await responses.create({ input, ...more })).output_text };
  },
  async image(task) {
    const content = [
      { type: "input_text", text: "What is it?" },
      { type: "input_image", image_url: dataUrl(task), detail: "auto" },
    ];
    const response = await client(task).responses.create({ model: task.model, input: [{ role: "user", content }] });
    return { text: response.output_text };
  },
  async cancel(task) {
    const events = await client(task).responses.create({ model: task.model, input: "Go on.", stream: true });
    for await (const event of events) if (event.type === "response.output_text.delta") return { text: event.delta };
  },
});
