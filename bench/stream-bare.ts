/**
 * The least a process can do with a reading: mqtt.js, one NORMAL commit per message, and only then the acknowledgement. The peer of
 * `npm run bench -- stream`.
 */
import Database from 'better-sqlite3';
import mqtt from 'mqtt';

const [, , url, filter, path] = process.argv;
const sql = new Database(path);
sql.pragma('journal_mode = WAL');
sql.pragma('synchronous = NORMAL');
sql.exec(
  'CREATE TABLE IF NOT EXISTS tail(stream INTEGER NOT NULL, ts INTEGER NOT NULL, v REAL, flags INTEGER NOT NULL DEFAULT 0)',
);
const insert = sql.prepare('INSERT INTO tail(stream, ts, v) VALUES (1, ?, ?)');
const client = mqtt.connect(url!, {
  clientId: 'bare',
  protocolVersion: 5,
  clean: false,
  properties: { sessionExpiryInterval: 3600, receiveMaximum: 64 },
});
client.handleMessage = ({ payload }, acknowledge) => {
  const { ts, value } = JSON.parse(payload.toString()) as { ts: number; value: number };
  insert.run(ts, value);
  acknowledge();
};
client.on('connect', () => client.subscribe(filter!, { qos: 1 }, () => console.log('{"event":"ready"}')));
