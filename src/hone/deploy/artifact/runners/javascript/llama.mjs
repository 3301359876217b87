// A decoder behind llama.cpp's own server.
export class Model {
  async load({ server }) {
    this.server = server;
  }

  /** What the server's /completion answers to ids. */
  async ask(ids, more) {
    const body = JSON.stringify({ prompt: ids, temperature: 0, cache_prompt: false, ...more });
    const asked = { method: "POST", body, headers: { "Content-Type": "application/json" } };
    const answer = await fetch(`${this.server}/completion`, asked).catch((error) => {
      const start = "start one with: llama-server -m model.gguf, and give its address after the prompt";
      const why = error.cause?.code ?? error.message;
      throw new Refused(`no llama.cpp server answers at ${this.server} (${why}); ${start}`);
    });
    if (answer.ok) return answer.json();
    throw new Refused(`the server at ${this.server} answers ${answer.status}: ${(await answer.text()).slice(0, 300)}`);
  }
}
