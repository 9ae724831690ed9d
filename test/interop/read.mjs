// Prints the data of all events at a URL, as the npm package eventsource gets them.
import { EventSource } from 'eventsource';

const source = new EventSource(process.argv[2]);
source.onmessage = (event) => console.log(event.data);
source.onerror = (error) => {
  if (source.readyState === EventSource.CLOSED) {
    console.error(error);
    process.exit(1);
  }
};
process.on('SIGTERM', () => process.exit(0));
