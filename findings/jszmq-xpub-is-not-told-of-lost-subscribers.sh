#!/usr/bin/env bash
# jszmq 0.1.2 (npm; ZeroMQ over WebSocket): an XPub reports the first subscription and an explicit cancel, but nothing when the
# subscriber closes or its process is killed.
#
# Behaviour: the notification \x00T comes for unsubscribe('T'); for close() and for a killed process it does not come within 3 s.
# Expected: as with libzmq, the loss of a subscriber cancels its subscriptions.
# Seen: subscribe, unsubscribe: ["\x01T","\x00T"]
#       subscribe, close:       ["\x01T"]
#       subscribe, killed:      ["\x01T"]
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{"private": true}' >package.json
npm install --silent --no-audit --no-fund jszmq@0.1.2 >/dev/null 2>&1
cat >scene.js <<'JAVASCRIPT'
const { fork } = require('child_process');
const jszmq = require('jszmq');
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

function subscriber(port) {
    const sub = new jszmq.Sub();
    sub.connect(`ws://127.0.0.1:${port}`);
    sub.subscribe('T');
    return sub;
}

async function told(port, leave) {
    const publisher = new jszmq.XPub();
    const all = [];
    publisher.on('message', (message) => all.push(message.toString('latin1').replace(/[\0\x01]/, (c) => `\\x0${c.charCodeAt(0)}`)));
    await publisher.bind(`ws://127.0.0.1:${port}`);
    await leave(port);
    await sleep(3000);
    return `["${all.join('","')}"]`;
}

async function main() {
    const cancelled = await told(18571, async (port) => {
        const sub = subscriber(port);
        await sleep(1000);
        sub.unsubscribe('T');
    });
    const closed = await told(18572, async (port) => {
        const sub = subscriber(port);
        await sleep(1000);
        sub.close();
    });
    const killed = await told(18573, async (port) => {
        const child = fork(__filename, [String(port)]);
        await sleep(2000);
        child.kill('SIGKILL');
    });
    console.log(`subscribe, unsubscribe: ${cancelled}`);
    console.log(`subscribe, close:       ${closed}`);
    console.log(`subscribe, killed:      ${killed}`);
    const same = cancelled === '["\\x01T","\\x00T"]' && closed === '["\\x01T"]' && killed === '["\\x01T"]';
    if (!same) console.error('this has changed');
    process.exit(same ? 0 : 1);
}

if (process.argv[2]) {
    subscriber(Number(process.argv[2]));
    setInterval(() => {}, 1000);
} else {
    main();
}
JAVASCRIPT
timeout 60 node scene.js
