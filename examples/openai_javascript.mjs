// OpenAI's SDK for JavaScript: a turn, and a streamed turn that remembers it.
// Start the gateway (make run), then: npm install openai && node examples/openai_javascript.mjs
import OpenAI from "openai";

const model = process.env.MODEL ?? "echo";
const client = new OpenAI({
  baseURL: `${process.env.OPENRESPONSES_URL ?? "http://127.0.0.1:4000"}/v1`,
  apiKey: process.env.OPENRESPONSES_API_KEY ?? "unused",
});

const first = await client.responses.create({ model, input: "My name is Alice." });
console.log(first.output_text);

const stream = await client.responses.create({
  model,
  input: "What is my name?",
  previous_response_id: first.id,
  stream: true,
});
for await (const event of stream) {
  if (event.type === "response.output_text.delta") process.stdout.write(event.delta);
}
console.log();
