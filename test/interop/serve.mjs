// Serves events with better-sse and keeps them: a POST publishes its body, a GET follows. Prints its address.
import { createServer } from 'node:http';
import { createChannel, createSession } from 'better-sse';

const channel = createChannel();
const kept = []; // the event with id n is kept[n - 1]

const server = createServer(async (request, response) => {
  if (request.method === 'POST') {
    let body = '';
    for await (const chunk of request) body += chunk;
    kept.push(Number(body));
    channel.broadcast(Number(body), 'message', { eventId: String(kept.length) });
    response.writeHead(204).end();
    return;
  }
  const session = await createSession(request, response, { retry: 10 });
  const last = Number(session.lastId); // each push changes it
  if (session.lastId) kept.slice(last).forEach((data, i) => session.push(data, 'message', String(last + i + 1)));
  channel.register(session);
});
server.listen(0, '127.0.0.1', () => console.log(`127.0.0.1:${server.address().port}`));
process.on('SIGTERM', () => process.exit(0));
