// Files that go with the next message: dropped, pasted or chosen.

import { $, h } from "./dom.js";
import { size } from "./format.js";

const AUDIO = { "audio/wav": "wav", "audio/x-wav": "wav", "audio/mpeg": "mp3", "audio/mp3": "mp3" };

/** The content part that a file becomes. */
function partOf({ file, url }) {
  if (file.type.startsWith("image/")) return { type: "input_image", image_url: url };
  if (AUDIO[file.type]) {
    return { type: "input_audio", input_audio: { data: url.slice(url.indexOf(",") + 1), format: AUDIO[file.type] } };
  }
  return { type: "input_file", filename: file.name, file_data: url };
}

const dataUrl = (file) =>
  new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });

export class Attachments {
  #held = []; // {file, url}
  #announce;
  #changed;

  /** `changed()` is called when files were added or removed. */
  constructor(announce, changed) {
    this.#announce = announce;
    this.#changed = changed;
    $("attach").addEventListener("click", () => $("files").click());
    $("files").addEventListener("change", async () => {
      await this.add($("files").files);
      $("files").value = "";
    });
    document.addEventListener("paste", (event) => {
      const { files, types } = event.clipboardData ?? { files: [] };
      if (!files.length || types.includes("text/plain")) return; // text that comes with a picture of itself
      event.preventDefault();
      this.add(files);
    });
    this.#listenForDrops();
  }

  get parts() {
    return this.#held.map(partOf);
  }

  async add(files) {
    for (const file of [...files]) {
      try {
        this.#held.push({ file, url: await dataUrl(file) });
        this.#announce(`Attached ${file.name}`);
      } catch {
        this.#announce(`${file.name} cannot be read`);
      }
    }
    this.#show();
  }

  /** Gives the files away, to be put back if they could not be sent. */
  take() {
    const held = this.#held;
    this.#held = [];
    this.#show();
    return held;
  }

  restore(held) {
    this.#held = held;
    this.#show();
  }

  #show() {
    $("attachments").replaceChildren(...this.#held.map((one) => this.#chip(one)));
    this.#changed();
  }

  #chip(one) {
    const { file, url } = one;
    const remove = () => {
      this.#held = this.#held.filter((other) => other !== one);
      this.#show();
      $("message").focus();
    };
    return h(
      "li",
      { class: "chip" },
      file.type.startsWith("image/") ? h("img", { src: url, alt: "" }) : null,
      h("bdi", {}, file.name || "pasted file"),
      h("span", { class: "faint" }, size(file.size)),
      h("button", { type: "button", class: "quiet", "aria-label": `Remove ${file.name}`, onclick: remove }, "×"),
    );
  }

  #listenForDrops() {
    let inside = 0; // dragenter and dragleave come for every element that is passed
    const show = (change) => {
      inside = change === 0 ? 0 : Math.max(0, inside + change);
      $("drop").hidden = inside === 0;
    };
    const withFiles = (listener) => (event) => {
      if (!event.dataTransfer?.types.includes("Files")) return;
      event.preventDefault();
      listener(event);
    };
    document.addEventListener("dragenter", withFiles(() => show(1)));
    document.addEventListener("dragleave", withFiles(() => show(-1)));
    document.addEventListener("dragover", withFiles(() => {}));
    document.addEventListener(
      "drop",
      withFiles((event) => {
        show(0);
        this.add(event.dataTransfer.files);
        $("message").focus();
      }),
    );
  }
}
