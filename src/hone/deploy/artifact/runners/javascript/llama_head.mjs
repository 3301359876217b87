// The head of an encoder that llama.cpp has no place for.
export class Model {
  /** Logits of the labels behind a state. */
  headLogits(state) {
    const floats = (text) => new Float32Array(Uint8Array.from(atob(text), (one) => one.charCodeAt(0)).buffer);
    this.head ??= [this.hone.head.weight, this.hone.head.bias].map(floats);
    const [weight, bias] = this.head, width = weight.length / bias.length;
    const other = `${this.server} gives states of ${state.length} figures, not of ${width}: it has another model`;
    if (state.length !== width) throw new Refused(other);
    return Array.from(bias, (one, label) => state.reduce((sum, x, at) => sum + x * weight[label * width + at], one));
  }
}
