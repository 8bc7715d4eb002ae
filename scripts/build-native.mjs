// Compiles better-sqlite3 when it is not there yet. Its own install script first asks a download server for a binary and
// then node-gyp asks another one for Node's headers; most Node installations have these headers beside the program, so
// with them a compiler is all that is needed, and no server.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

const require = createRequire(import.meta.url);
const folder = dirname(require.resolve('better-sqlite3/package.json'));
const load = "new (require('better-sqlite3'))(':memory:').close()";
const works = () => spawnSync(process.execPath, ['-e', load], { stdio: 'ignore' }).status === 0;

if (!works()) {
  const prefix = dirname(dirname(process.execPath));
  const headers = existsSync(join(prefix, 'include/node/node.h')) ? ['--nodedir', prefix] : [];
  // npm names the node-gyp it brings; without npm, one on the PATH has to do.
  const bundled = process.env.npm_config_node_gyp;
  const [program, ...args] = bundled === undefined ? ['node-gyp'] : [process.execPath, bundled];
  console.log(
    `Compiling better-sqlite3 (about a minute and a half)${headers.length > 0 ? ` with the headers in ${prefix}` : ''} …`,
  );
  const build = spawnSync(program, [...args, 'rebuild', '--release', ...headers], { cwd: folder, encoding: 'utf8' });
  if (build.status !== 0 || !works()) {
    console.error(`${build.stdout ?? ''}${build.stderr ?? build.error?.message ?? ''}`);
    console.error('better-sqlite3 could not be compiled. It needs a C++ compiler, make and Python 3.');
    process.exit(1);
  }
}
