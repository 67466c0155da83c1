// LangChain.
import { HumanMessage, SystemMessage, ToolMessage } from "@langchain/core/messages";
import { tool } from "@langchain/core/tools";
import { ChatOpenAI } from "@langchain/openai";
import { City, DESCRIPTION, EFFORT, INCLUDE, INSTRUCTIONS, Sum, Weather, dataUrl, serve } from "./common.mjs";

function model(task, more = {}) {
  const configuration = { baseURL: `${task.base_url}/v1` };
  return new ChatOpenAI({ model: task.model, apiKey: "unused", configuration, useResponsesApi: true, maxRetries: 0, ...more });
}

const textOf = (message) => message.text;

async function text(task) {
  const answer = await model(task).invoke([new SystemMessage(INSTRUCTIONS), new HumanMessage("Say hello.")]);
  const { input_tokens, output_tokens } = answer.usage_metadata;
  return { text: textOf(answer), input_tokens, output_tokens };
}

const thoughts = (message) =>
  (message.additional_kwargs.reasoning?.summary ?? []).map((part) => part.text).join("");

// A tool loop by the full history; `answer(chat, messages)` is one turn.
async function loop(task, prompt, more = {}, answer = (chat, messages) => chat.invoke(messages)) {
  const weather = new Weather();
  const getWeather = tool(weather.getWeather, { name: "get_weather", description: DESCRIPTION, schema: City });
  const chat = model(task, more).bindTools([getWeather]);
  const messages = [new HumanMessage(prompt)];
  let reasoning = "";
  for (;;) {
    const message = await answer(chat, messages);
    messages.push(message);
    reasoning += thoughts(message);
    if (!message.tool_calls?.length) return { text: textOf(message), ran: weather.ran, reasoning };
    for (const call of message.tool_calls)
      messages.push(new ToolMessage({ content: await getWeather.invoke(call.args), tool_call_id: call.id }));
  }
}

async function gathered(chat, messages) {
  let whole;
  for await (const chunk of await chat.stream(messages)) whole = whole ? whole.concat(chunk) : chunk;
  return whole;
}

serve({
  text,
  error: text,
  async stream(task) {
    const pieces = [];
    for await (const chunk of await model(task).stream("Tell me.")) if (textOf(chunk)) pieces.push(textOf(chunk));
    return { text: pieces.join(""), pieces: pieces.length };
  },
  tools: (task) => loop(task, "Weather in Oslo?"),
  stream_tools: (task) => loop(task, "Weather in Oslo?", {}, gathered),
  parallel: (task) => loop(task, "Weather in Oslo and Lima?"),
  reasoning: (task) =>
    loop(task, "Weather in Oslo?", { zdrEnabled: true, reasoning: EFFORT, maxTokens: 4096, modelKwargs: { include: INCLUDE } }),
  async structured(task) {
    const chat = model(task).withStructuredOutput(Sum, { name: "sum", method: "jsonSchema" });
    return { value: await chat.invoke("2 + 3 = ?") };
  },
  async chain(task) {
    const chat = model(task);
    const first = await chat.invoke("I am Ada.");
    return { text: textOf(await chat.invoke("Who am I?", { previous_response_id: first.response_metadata.id })) };
  },
  async history(task) {
    const chat = model(task);
    const messages = [new HumanMessage("I am Ada.")];
    messages.push(await chat.invoke(messages), new HumanMessage("Who am I?"));
    return { text: textOf(await chat.invoke(messages)) };
  },
  async image(task) {
    const content = [
      { type: "text", text: "What is it?" },
      { type: "image_url", image_url: { url: dataUrl(task) } },
    ];
    return { text: textOf(await model(task).invoke([new HumanMessage({ content })])) };
  },
  async cancel(task) {
    const leaving = new AbortController();
    for await (const chunk of await model(task).stream("Go on.", { signal: leaving.signal }))
      if (textOf(chunk)) {
        leaving.abort();
        return { text: textOf(chunk) };
      }
  },
});
