// tuf-js's client, for comparison:
//
//   node tuf_js_client.mjs METADATA_DIR METADATA_URL TARGET_DIR TARGET_URL TARGET...
//
// Refreshes, and downloads the targets. Exit status 0: all of it verified; 1: refused, and standard error says why in one line,
// first the error's class. METADATA_DIR holds the trusted root.json.
import { createRequire } from 'node:module';
import { join } from 'node:path';

const require = createRequire(join(process.cwd(), 'package.json'));
const { Updater } = require('tuf-js');
const [metadataDir, metadataBaseUrl, targetDir, targetBaseUrl, ...targets] = process.argv.slice(2);

try {
  const updater = new Updater({ metadataDir, metadataBaseUrl, targetDir, targetBaseUrl, config: { fetchRetries: 0 } });
  await updater.refresh();
  for (const path of targets) {
    const info = await updater.getTargetInfo(path);
    if (!info) throw new Error(`${path}: not found`);
    await updater.downloadTarget(info, join(targetDir, encodeURIComponent(path)));
  }
} catch (error) {
  const status = error.statusCode ? ` (${error.statusCode})` : '';
  console.error(`${error.constructor.name}: ${error.message}${status}`.replaceAll('\n', ' '));
  process.exit(1);
}
