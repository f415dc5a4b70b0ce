// @xata.io/api is published as TypeScript, which node does not run. esbuild translates it and changes nothing else.
import { build } from 'esbuild';

const { outputFiles } = await build({
  stdin: { contents: "export * from '@xata.io/api';", resolveDir: import.meta.dirname ?? new URL('.', import.meta.url).pathname },
  bundle: true,
  platform: 'node',
  format: 'esm',
  minify: true,
  write: false,
  logLevel: 'error',
});
const source = Buffer.from(outputFiles[0].contents).toString('base64');

export const { XataApi, ApiError, NetworkError, Schemas, retryDelayMs, isRetryableError } = await import(
  `data:text/javascript;base64,${source}`
);
