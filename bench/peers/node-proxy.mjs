// What one would write with Node alone: an agent that keeps connections, and streams piped.
// One process a core.
import cluster from "node:cluster";
import { readFileSync } from "node:fs";
import http from "node:http";
import https from "node:https";

const { LISTEN, UPSTREAM, CA_FILE, TOKEN, WORKERS } = process.env;
const upstream = new URL(UPSTREAM);
const secure = upstream.protocol === "https:";
const hopByHop = ["connection", "keep-alive", "transfer-encoding", "upgrade"];

function withoutHops(headers) {
  const kept = { ...headers };
  for (const name of hopByHop) delete kept[name];
  return kept;
}

function serve() {
  const options = { keepAlive: true, maxFreeSockets: 1024 };
  const agent = secure
    ? new https.Agent({ ...options, ca: readFileSync(CA_FILE), servername: "localhost" })
    : new http.Agent(options);
  const { request } = secure ? https : http;
  const server = http.createServer((incoming, answer) => {
    const outgoing = request(
      {
        agent,
        host: "127.0.0.1",
        port: upstream.port,
        method: incoming.method,
        path: incoming.url,
        headers: {
          ...withoutHops(incoming.headers),
          host: "localhost",
          authorization: `Bearer ${TOKEN}`,
        },
      },
      (received) => {
        answer.writeHead(received.statusCode, withoutHops(received.headers));
        received.pipe(answer);
      },
    );
    outgoing.on("error", (error) => {
      if (!answer.headersSent) answer.writeHead(502);
      answer.end(error.message);
    });
    // `stream.pipeline` would close the upstream connection behind every request.
    incoming.pipe(outgoing);
    answer.on("close", () => {
      if (!answer.writableFinished) outgoing.destroy();
    });
  });
  server.keepAliveTimeout = 600_000;
  server.requestTimeout = 0;
  server.listen(Number(LISTEN), "127.0.0.1", 4096);
}

if (cluster.isPrimary) {
  for (let started = 0; started < Number(WORKERS); started += 1) cluster.fork();
} else {
  serve();
}
