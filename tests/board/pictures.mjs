// Takes the three pictures of docs/board.md (`make board-pictures`).

import { BOARD, OUT, launch, open, signIn } from './support.mjs';

const browser = await launch();
const shots = [
  ['board-agents.png', '#/agents', { viewport: { width: 1200, height: 720 } }],
  ['board-agent.png', '#/agents/fixer', { viewport: { width: 1200, height: 640 }, colorScheme: 'dark' }],
  ['board-passes.png', '#/passes', { viewport: { width: 1200, height: 640 } }],
];
for (const [name, route, options] of shots) {
  const page = await open(browser, options);
  await signIn(page, route);
  await page.locator('tbody tr').first().waitFor();
  await page.screenshot({ path: `${OUT}/${name}` });
  await page.context().close();
}
await browser.close();
