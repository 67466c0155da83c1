// Numbers as people read them.

const whole = new Intl.NumberFormat("en");

export const milliseconds = (ms) => (ms < 9999.5 ? `${whole.format(Math.round(ms))} ms` : `${(ms / 1000).toFixed(1)} s`);
export const count = (n) => whole.format(n);
export const size = (bytes) => (bytes < 1e6 ? `${Math.max(1, Math.round(bytes / 1e3))} KB` : `${(bytes / 1e6).toFixed(1)} MB`);

/** The figures of a turn, in order: [name, value]. What is not known is left out; what is to come has its place. */
export function figures(turn) {
  const rows = [["Status", turn.failure?.code ? `${turn.status} (${turn.failure.code})` : statusOf(turn)]];
  const since = (name, at) => {
    if (at !== null || turn.running) rows.push([name, at === null ? "…" : milliseconds(at - turn.sentAt)]);
  };
  const route = turn.headers.get("x-openresponses-route");
  if (route) rows.push(["Route", route]);
  since("First token", turn.firstTokenAt);
  since("Total", turn.endedAt);
  const usage = turn.response?.usage;
  if (usage || turn.running) rows.push(["Tokens", usage ? tokens(usage) : "…"]);
  const cost = costOf(turn);
  if (cost !== null) rows.push(["Cost", dollars(cost)]);
  const ignored = turn.headers.get("x-openresponses-ignored");
  if (ignored) rows.push(["Ignored", ignored]);
  if (turn.id) rows.push(["Response", turn.id]);
  const request = turn.headers.get("x-request-id") ?? turn.failure?.requestId;
  if (request) rows.push(["Request", request]);
  return rows;
}

export function statusOf(turn) {
  const reason = turn.response?.incomplete_details?.reason;
  return reason ? `${turn.status} (${reason})` : turn.status.replace("_", " ");
}

function tokens(usage) {
  const cached = usage.input_tokens_details?.cached_tokens;
  const reasoning = usage.output_tokens_details?.reasoning_tokens;
  const read = count(usage.input_tokens) + " in" + (cached ? ` (${count(cached)} cached)` : "");
  return `${read}, ${count(usage.output_tokens)} out` + (reasoning ? ` (${count(reasoning)} reasoning)` : "");
}

/** US dollars: as the provider says, else by the model's price, which is dollars a million tokens; null if unknown. */
function costOf({ response, price }) {
  const usage = response?.usage;
  if (usage?.cost != null && !Number.isNaN(Number(usage.cost))) return Number(usage.cost);
  if (!usage || !price) return null;
  const cached = usage.input_tokens_details?.cached_tokens ?? 0;
  const read = (usage.input_tokens - cached) * price.input + cached * (price.cached_input ?? price.input);
  return (read + usage.output_tokens * price.output) / 1e6;
}

const dollars = (cost) => (cost === 0 ? "$0" : `$${cost.toFixed(cost < 0.01 ? 6 : 4)}`);
