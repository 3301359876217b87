// Where ONNX Runtime is found.
/** ONNX Runtime in Node, from the packages beside this file, else from those of the working folder. */
export async function runtimeOfNode() {
  const { createRequire } = await import("node:module"), failed = new Set();
  process.env.ORT_DISABLE_TELEMETRY ??= "1"; // before the import
  for (const name of ["onnxruntime-node", "onnxruntime-web"])
    for (const place of [import.meta.url, `${process.cwd()}/run.mjs`])
      try {
        return createRequire(place)(name);
      } catch (error) {
        const [said] = error.message.split("\n");
        if (said !== `Cannot find module '${name}'`) failed.add(`${name} is there and does not load: ${said}`);
      }
  const none = "neither onnxruntime-node nor onnxruntime-web is beside run.mjs or in the working folder";
  throw new Refused(`${[...failed].join("; ") || none}; install one in either: npm install onnxruntime-node`);
}
