// Numbers as people read them.

const whole = new Intl.NumberFormat("en");

export const milliseconds = (ms) => (ms < 9999.5 ? `${whole.format(Math.round(ms))} ms` : `${(ms / 1000).toFixed(1)} s`);
export const count = (n) => whole.format(n);
export const size = (bytes) => (bytes < 1e6 ? `${Math.max(1, Math.round(bytes / 1e3))} KB` : `${(bytes / 1e6).toFixed(1)} MB`);

/** The figures of a turn, in order: [name, value]. What is to come has its place already, so that nothing below moves;
 * what will not come is left out. */
export function figures(turn) {
  const usage = turn.response?.usage;
  const since = (at) => (at === null ? null : milliseconds(at - turn.sentAt));
  const header = (name) => turn.headers.get(name);
  const rows = [
    ["Status", turn.failure?.code ? `${turn.status} (${turn.failure.code})` : statusOf(turn)],
    ["Route", header("x-openresponses-route")],
    ["First token", since(turn.firstTokenAt)],
    ["Total", since(turn.endedAt)],
    ["Tokens", usage ? tokens(usage) : null],
    ["Cost", usage ? costOf(turn) : null],
    ["Response", turn.id],
    ["Request", header("x-request-id") ?? turn.failure?.requestId],
  ].map(([name, value]) => [name, value ?? (turn.running ? "…" : null)]);
  return [...rows, ["Ignored", header("x-openresponses-ignored")]].filter(([, value]) => value != null);
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

/** As the provider says, else by the model's price, which is US dollars a million tokens. */
function costOf({ response: { usage }, price }) {
  if (usage.cost != null && !Number.isNaN(Number(usage.cost))) return dollars(Number(usage.cost));
  if (!price) return price === undefined ? "…" : "no price given";
  const cached = usage.input_tokens_details?.cached_tokens ?? 0;
  const read = (usage.input_tokens - cached) * price.input + cached * (price.cached_input ?? price.input);
  return dollars((read + usage.output_tokens * price.output) / 1e6);
}

const dollars = (cost) => (cost === 0 ? "$0" : `$${cost.toFixed(cost < 0.01 ? 6 : 4)}`);
