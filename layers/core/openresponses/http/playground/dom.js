// Making elements. Every string becomes text or an attribute; no string becomes HTML, here or anywhere in the page.

export const $ = (id) => document.getElementById(id);

/** An element. An attribute that is a function listens (`onclick`), `false` and `null` leave it out; children are nodes
 * or text, and `null` ones are left out. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child != null));
  return element;
}

/** Changes a text that mostly grows; leaves the node, and a selection in it, alone if nothing is new. */
export function setText(element, text) {
  const node = element.firstChild;
  if (!node) element.append(text);
  else if (text.length > node.length && text.startsWith(node.data)) node.appendData(text.slice(node.length));
  else if (node.data !== text) node.data = text;
}

/** A link to a web page; what is no http or https address is shown as text. */
export function link(address, label) {
  const url = URL.canParse(address) ? new URL(address) : null;
  if (!url || !["http:", "https:"].includes(url.protocol)) return h("span", {}, `${label} (${address})`);
  return h("a", { href: url.href, title: url.href, target: "_blank", rel: "noopener noreferrer" }, label);
}

export const pretty = (value) => JSON.stringify(value, null, 2);

/** JSON text indented, other text as it is. */
export function indented(text) {
  try {
    return pretty(JSON.parse(text));
  } catch {
    return text;
  }
}

export async function copy(text, button) {
  const label = button.textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    button.textContent = "The browser refused";
  }
  setTimeout(() => (button.textContent = label), 1500);
}
