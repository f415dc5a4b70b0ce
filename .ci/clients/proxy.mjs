// A loopback proxy that records requests and can change, break or lose responses.
import http from 'node:http';

/**
 * Passes requests on to `target`, which may be absent if `act` answers all of them.
 *
 * `act(request, n)` decides about the n-th request, from 0. It returns nothing to pass it on, a response
 * `{ status, headers, body }`, `'reset'` to break the connection before the request is passed on, `'lose'` to break it
 * afterwards, or a function that changes the response.
 */
export async function proxy(target, act = () => undefined) {
  const requests = [];
  const server = http.createServer(async (incoming, outgoing) => {
    const chunks = [];
    for await (const chunk of incoming) chunks.push(chunk);
    const request = {
      method: incoming.method,
      path: incoming.url,
      headers: incoming.headers,
      body: Buffer.concat(chunks).toString(),
      at: performance.now(),
    };
    const n = requests.push(request) - 1;
    try {
      const deed = await act(request, n);
      if (deed === 'reset') return incoming.socket.destroy();
      let answer = typeof deed === 'object' ? deed : await forward(target, request);
      if (deed === 'lose') return incoming.socket.destroy();
      if (typeof deed === 'function') answer = deed(answer) ?? answer;
      request.status = answer.status;
      outgoing.writeHead(answer.status, { ...answer.headers, connection: 'close' });
      outgoing.end(answer.body);
    } catch (error) {
      outgoing.writeHead(599, { connection: 'close' }).end(`the proxy failed: ${error.stack}`);
    }
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    requests,
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}

function forward(target, { method, path, headers, body }) {
  const { hostname, port, pathname } = new URL(target);
  const { connection, 'transfer-encoding': encoding, ...kept } = headers;
  const options = {
    method,
    hostname,
    port,
    path: pathname.replace(/\/$/, '') + path,
    headers: { ...kept, host: `${hostname}:${port}`, ...(body && { 'content-length': Buffer.byteLength(body) }) },
    agent: false,
    timeout: 30_000,
  };
  return new Promise((resolve, reject) => {
    const request = http.request(options, async (response) => {
      try {
        const chunks = [];
        for await (const chunk of response) chunks.push(chunk);
        const { connection, 'transfer-encoding': encoding, 'content-length': length, 'keep-alive': alive, ...headers } =
          response.headers;
        resolve({ status: response.statusCode, headers, body: Buffer.concat(chunks).toString() });
      } catch (error) {
        reject(error);
      }
    });
    request.on('timeout', () => request.destroy(new Error('no answer within 30 s')));
    request.on('error', reject);
    request.end(body);
  });
}

/** Runs `use` with a proxy that is closed afterwards. */
export async function through(target, act, use) {
  const it = await proxy(target, act);
  try {
    return await use(it);
  } finally {
    it.close();
  }
}

/** Milliseconds between the requests that a proxy has seen. */
export const gaps = ({ requests }) => requests.slice(1).map((request, n) => request.at - requests[n].at);
