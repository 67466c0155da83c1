// What the JavaScript drivers share: the loop that takes tasks and prints results, and the test data.
//
// A driver is a program: each line of its input is a task (a JSON object with `scenario`, `base_url`, `model`, `image`),
// each line of its output a result: what the function of that name returned, or the error that it raised.
import { createInterface } from "node:readline";
import { z } from "zod";

export const INSTRUCTIONS = "Be brief.";
export const INCLUDE = ["reasoning.encrypted_content"];
export const EFFORT = { effort: "low", summary: "auto" };
export const DESCRIPTION = "The weather in a city.";
export const City = z.object({ city: z.string().describe("Name of a city") });
export const Sum = z.object({ addends: z.array(z.number()), total: z.number() });
export const WEATHER_TOOL = {
  type: "function",
  name: "get_weather",
  description: DESCRIPTION,
  strict: true,
  parameters: {
    type: "object",
    properties: { city: { type: "string", description: "Name of a city" } },
    required: ["city"],
    additionalProperties: false,
  },
};

// The tool, and the cities that it was asked for.
export class Weather {
  cities = [];

  getWeather = ({ city }) => {
    this.cities.push(city);
    return `sunny in ${city}`;
  };

  get ran() {
    return this.cities.toSorted();
  }
}

export const dataUrl = (task) => `data:image/png;base64,${task.image}`;

// The HTTP status of a client's error, or of the one that it wraps.
function status(error) {
  for (; error; error = error.cause ?? error.lastError) {
    const found = error.status ?? error.statusCode;
    if (Number.isInteger(found)) return found;
  }
  return null;
}

async function run(scenarios, task) {
  try {
    return { result: await scenarios[task.scenario](task) };
  } catch (error) {
    const kind = error?.constructor?.name ?? typeof error;
    return { error: { kind, message: String(error?.message ?? error), status: status(error), trace: String(error?.stack) } };
  }
}

// Runs tasks until the input ends. A client may print what it likes: only our results go to the output.
export async function serve(scenarios) {
  console.log = console.error;
  process.on("unhandledRejection", (reason) => console.error("unhandled:", reason));
  for await (const line of createInterface({ input: process.stdin })) {
    const result = await run(scenarios, JSON.parse(line));
    process.stdout.write(JSON.stringify(result) + "\n");
  }
  process.exit(0);
}
