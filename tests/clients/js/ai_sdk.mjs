// The Vercel AI SDK on a model of either of its providers that speak the Responses API.
import { Output, generateText, stepCountIs, streamText, tool } from "ai";
import { City, DESCRIPTION, INSTRUCTIONS, Sum, Weather, dataUrl } from "./common.mjs";

const STOP = stepCountIs(4);
const quiet = { maxRetries: 0 };

// A stream's error is a part of it: whoever reads only the text must be told by `onError`, or by how it finished.
async function drained(streamed, failure) {
  const pieces = [];
  for await (const piece of streamed.textStream) pieces.push(piece);
  if (failure.error) throw failure.error;
  if ((await streamed.finishReason) === "error") throw new Error("the answer finished with an error");
  return pieces;
}

function streaming(options) {
  const failure = {};
  const onError = ({ error }) => (failure.error = error);
  return [streamText({ ...quiet, ...options, onError }), failure];
}

// `modelOf(task)` gives the model; `reasoningOptions` are the provider's own for showing and replaying reasoning.
export function scenarios(modelOf, reasoningOptions) {
  const ask = (task, more) => ({ ...quiet, model: modelOf(task), ...more });

  function weatherTools(weather) {
    return { get_weather: tool({ description: DESCRIPTION, inputSchema: City, execute: weather.getWeather }) };
  }

  async function text(task) {
    const { text, usage } = await generateText(ask(task, { prompt: "Say hello.", system: INSTRUCTIONS }));
    return { text, input_tokens: usage.inputTokens, output_tokens: usage.outputTokens };
  }

  async function tools(task, prompt = "Weather in Oslo?") {
    const weather = new Weather();
    const asked = ask(task, { prompt, tools: weatherTools(weather), stopWhen: STOP });
    const { text } = await generateText(asked);
    return { text, ran: weather.ran };
  }

  return {
    text,
    error: text,
    async stream(task) {
      const pieces = await drained(...streaming(ask(task, { prompt: "Tell me." })));
      return { text: pieces.join(""), pieces: pieces.length };
    },
    tools: (task) => tools(task),
    async stream_tools(task) {
      const weather = new Weather();
      const more = { prompt: "Weather in Oslo?", tools: weatherTools(weather), stopWhen: STOP };
      const [streamed, failure] = streaming(ask(task, more));
      await drained(streamed, failure);
      return { text: await streamed.text, ran: weather.ran };
    },
    parallel: (task) => tools(task, "Weather in Oslo and Lima?"),
    async reasoning(task) {
      const weather = new Weather();
      const more = { prompt: "Weather in Oslo?", tools: weatherTools(weather), stopWhen: STOP, maxOutputTokens: 4096 };
      const [streamed, failure] = streaming(ask(task, { ...more, providerOptions: reasoningOptions }));
      await drained(streamed, failure);
      const reasoning = (await streamed.steps).map((step) => step.reasoningText ?? "").join("");
      return { text: await streamed.text, ran: weather.ran, reasoning };
    },
    async structured(task) {
      const { output } = await generateText(ask(task, { prompt: "2 + 3 = ?", output: Output.object({ schema: Sum }) }));
      return { value: output };
    },
    async history(task) {
      const messages = [{ role: "user", content: "I am Ada." }];
      const { response } = await generateText(ask(task, { messages }));
      messages.push(...response.messages, { role: "user", content: "Who am I?" });
      return { text: (await generateText(ask(task, { messages }))).text };
    },
    async chain(task) {
      const first = await generateText(ask(task, { prompt: "I am Ada." }));
      const previousResponseId = first.providerMetadata.openai.responseId;
      const providerOptions = { openai: { previousResponseId } };
      return { text: (await generateText(ask(task, { prompt: "Who am I?", providerOptions }))).text };
    },
    async image(task) {
      const content = [{ type: "text", text: "What is it?" }, { type: "image", image: dataUrl(task) }];
      return { text: (await generateText(ask(task, { messages: [{ role: "user", content }] }))).text };
    },
    async cancel(task) {
      const leaving = new AbortController();
      const [streamed] = streaming(ask(task, { prompt: "Go on.", abortSignal: leaving.signal }));
      for await (const piece of streamed.textStream) {
        leaving.abort();
        return { text: piece };
      }
    },
  };
}
