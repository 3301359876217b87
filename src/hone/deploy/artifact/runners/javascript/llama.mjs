// A model behind llama.cpp's own server.
export class Model {
  async load({ server }) {
    this.server = server;
  }

  /** What the server answers to a request. */
  async ask(path, asked) {
    const request = { method: "POST", body: JSON.stringify(asked), headers: { "Content-Type": "application/json" } };
    const answer = await fetch(`${this.server}/${path}`, request).catch((error) => {
      const none = `no llama.cpp server answers at ${this.server} (${error.cause?.code ?? error.message})`;
      const start = "start one with: COMMAND";
      throw new Refused(`${none}; ${start}, and give its address after the prompt`);
    });
    if (answer.ok) return answer.json();
    throw new Refused(`the server at ${this.server} answers ${answer.status}: ${(await answer.text()).slice(0, 300)}`);
  }
}
