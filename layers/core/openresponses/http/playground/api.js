// The gateway's API, spoken to as any client would. The key lives in this module's memory, and nowhere else.

import { serverSentEvents } from "./sse.js";

let key = "";

export const setKey = (value) => (key = value);
export const theKey = () => key;

/** An address of this gateway. Relative to the page, because a stage of API Gateway is a folder. */
export const address = (path) => new URL(path, document.baseURI).href;

/** What went wrong, as the API says it: code, param, message, type; and status and request id of the reply, if any. */
export class Failure extends Error {
  constructor(error, status = null, requestId = null) {
    super(error.message);
    Object.assign(this, { code: null, param: null, type: null }, error, { status, requestId });
  }

  static async of(reply) {
    const text = await reply.text().catch(() => "");
    let error;
    try {
      error = JSON.parse(text).error;
    } catch {
      error = null; // not ours: something between us and the gateway
    }
    if (typeof error !== "object") error = null;
    error ??= { message: text.slice(0, 500) || `HTTP status ${reply.status}` };
    return new Failure(error, reply.status, reply.headers.get("x-request-id"));
  }
}

async function call(path, { body, ...options } = {}) {
  const headers = {};
  if (key) headers.authorization = `Bearer ${key}`;
  if (body !== undefined) headers["content-type"] = "application/json";
  let reply;
  try {
    reply = await fetch(address(path), {
      ...options,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      credentials: "omit",
      cache: "no-store",
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Failure({ message: "The gateway cannot be reached. See that it runs, then send again.", code: "network" });
  }
  if (!reply.ok) throw await Failure.of(reply);
  return reply;
}

export const models = async () => (await (await call("v1/models")).json()).data;
export const cancel = (id) => call(`v1/responses/${encodeURIComponent(id)}/cancel`, { method: "POST" });

const prices = new Map();

/** What a route's tokens cost, in US dollars per million: {input, output, cached_input}; null where nobody has said. */
export function price(route) {
  const path = `v1/models/${route.split("/").map(encodeURIComponent).join("/")}`;
  const ask = async () => (await (await call(path)).json()).price ?? null;
  if (!prices.has(route)) prices.set(route, ask().catch(() => null));
  return prices.get(route);
}

/** What the request would become with its provider; null where the gateway does not tell. */
export async function explain(request) {
  try {
    return await (await call("playground/explain", { method: "POST", body: request })).json();
  } catch (failure) {
    if ([404, 405].includes(failure.status) && !["model", "previous_response_id"].includes(failure.param)) return null;
    throw failure;
  }
}

/** Sends a request that streams: {headers, events}; `events` gives {at, event}, and throws a Failure if the connection
 * breaks. A background response's stream is taken up again where it broke. */
export async function stream(request, signal) {
  const reply = await call("v1/responses", { method: "POST", body: request, signal });
  return { headers: reply.headers, events: request.background ? resumed(reply, signal) : events(reply) };
}

const TERMINAL = new Set(["response.completed", "response.incomplete", "response.failed"]);
const RESUMES = 5;

async function* events(reply) {
  let ended = false;
  try {
    for await (const { at, data } of serverSentEvents(reply.body)) {
      if (data === "[DONE]") return;
      const event = JSON.parse(data);
      ended ||= TERMINAL.has(event.type);
      yield { at, event };
    }
  } catch (error) {
    if (error.name === "AbortError") throw error;
  }
  if (!ended) throw new Failure({ message: "The connection broke in the middle of the answer.", code: "network" });
}

async function* resumed(reply, signal) {
  let id = null;
  let last = -1;
  let broken = 0;
  for (;;) {
    try {
      reply ??= await call(`v1/responses/${encodeURIComponent(id)}?stream=true&starting_after=${last}`, { signal });
      for await (const { at, event } of events(reply)) {
        id ??= event.response?.id;
        if (event.type === "error" && event.error?.code === "time_limit") break; // the connection's, not the turn's
        last = event.sequence_number;
        yield { at, event };
        if (TERMINAL.has(event.type)) return;
      }
    } catch (failure) {
      if (failure.code !== "network" || !id || broken === RESUMES) throw failure;
      await new Promise((resolve) => setTimeout(resolve, 500 * 2 ** broken));
      broken += 1;
    }
    reply = null;
  }
}
