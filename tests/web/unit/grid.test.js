import assert from 'node:assert/strict';
import test from 'node:test';
import { bestGrid, gridBoxes, pageOf, picturesFirst, stageBoxes, tilesPerPage, withSpeakersVisible } from '../../../static/js/grid.js';

const WINDOWS = /** @type {const} */ ([
  [1280, 720],
  [1920, 1080],
  [900, 900],
  [390, 700],
  [360, 560],
  [640, 300],
]);
const GAP = 8;

test('tiles stay inside the stage and never overlap', () => {
  for (const [width, height] of WINDOWS) {
    for (let count = 1; count <= 25; count++) {
      const boxes = gridBoxes(count, width, height, GAP);
      assert.equal(boxes.length, count);
      for (const [index, box] of boxes.entries()) {
        const where = `${count} in ${width}x${height}, tile ${index}`;
        assert.ok(box.width > 0 && box.height > 0, where);
        assert.ok(box.x >= 0 && box.y >= 0 && box.x + box.width <= width + 1 && box.y + box.height <= height + 1, where);
        for (const other of boxes.slice(index + 1)) {
          const apart = box.x + box.width <= other.x || other.x + other.width <= box.x || box.y + box.height <= other.y || other.y + other.height <= box.y;
          assert.ok(apart, where);
        }
      }
    }
  }
});

test('the number of columns is the best there is', () => {
  for (const [width, height] of WINDOWS) {
    for (let count = 2; count <= 16; count++) {
      const best = bestGrid(count, width, height, GAP);
      const narrowest = height > width ? 2 / 3 : 4 / 3;
      for (let columns = 1; columns <= count; columns++) {
        const rows = Math.ceil(count / columns);
        const w = Math.min((width - GAP * (columns - 1)) / columns, ((height - GAP * (rows - 1)) / rows) * (16 / 9));
        const h = Math.min((height - GAP * (rows - 1)) / rows, w / narrowest);
        assert.ok(Math.floor(w) * Math.floor(h) <= best.width * best.height + w + h, `${count} in ${width}x${height}: ${columns} columns would be larger`);
      }
    }
  }
});

test('the shapes that people expect', () => {
  assert.equal(bestGrid(2, 1280, 640, GAP).columns, 2);
  assert.equal(bestGrid(4, 1280, 720, GAP).columns, 2);
  assert.equal(bestGrid(9, 1280, 720, GAP).columns, 3);
  assert.equal(bestGrid(2, 390, 700, GAP).columns, 1);
  assert.equal(bestGrid(4, 390, 700, GAP).columns, 2);
});

test('one person alone fills the stage', () => {
  assert.deepEqual(gridBoxes(1, 1280, 640, GAP), [{ x: 0, y: 0, width: 1280, height: 640 }]);
  assert.deepEqual(gridBoxes(1, 390, 700, GAP), [{ x: 0, y: 0, width: 390, height: 700 }]);
  assert.equal(bestGrid(1, 3000, 500, GAP).width, 1100);
});

test('the last row stands in the middle', () => {
  const [, , third] = gridBoxes(3, 1280, 720, GAP);
  assert.ok(third && Math.abs(third.x + third.width / 2 - 640) <= 1);
});

test('a stage of nothing does not divide by nothing', () => {
  assert.deepEqual(gridBoxes(0, 100, 100, GAP), []);
  assert.deepEqual(bestGrid(4, 0, 0, GAP), { columns: 1, rows: 4, width: 0, height: 0 });
});

test('people stand beside a shared screen in a wide window and below it in a tall one', () => {
  const wide = stageBoxes(5, 1280, 720, GAP);
  assert.ok(wide.strip.every((box) => box.x >= wide.stage.x + wide.stage.width + GAP));
  const tall = stageBoxes(3, 390, 700, GAP);
  assert.ok(tall.strip.every((box) => box.y >= tall.stage.y + tall.stage.height + GAP));
});

test('a strip holds as many people as fit and no more', () => {
  for (const [width, height] of WINDOWS) {
    const { strip } = stageBoxes(40, width, height, GAP);
    assert.ok(strip.length >= 1 && strip.length < 40);
    for (const box of strip) assert.ok(box.x >= 0 && box.y >= 0 && box.x + box.width <= width && box.y + box.height <= height);
  }
  assert.equal(stageBoxes(2, 1280, 720, GAP).strip.length, 2);
  assert.deepEqual(stageBoxes(0, 1280, 720, GAP).stage, { x: 0, y: 0, width: 1280, height: 720 });
});

test('pages hold everybody once, and a page past the end is the last', () => {
  const people = Array.from({ length: 20 }, (_, index) => index);
  const pages = [0, 1, 2].map((page) => pageOf(people, page, 9).items);
  assert.deepEqual(pages.flat(), people);
  assert.deepEqual(pageOf(people, 99, 9), { items: [18, 19], page: 2, pages: 3 });
  assert.deepEqual(pageOf([], 3, 9), { items: [], page: 0, pages: 1 });
});

test('a speaker from the second page comes forward, and nobody in sight who speaks is moved', () => {
  const order = ['a', 'b', 'c', 'd', 'e'];
  assert.deepEqual(withSpeakersVisible(order, ['e'], 3), ['a', 'b', 'e', 'd', 'c']);
  assert.deepEqual(withSpeakersVisible(order, ['c', 'e'], 3), ['a', 'e', 'c', 'd', 'b']);
  assert.deepEqual(withSpeakersVisible(order, ['b'], 3), order);
  assert.deepEqual(withSpeakersVisible(order, ['d', 'e', 'a', 'b'], 2), ['e', 'd', 'c', 'b', 'a'], 'the loudest come first when not all fit');
});

test('bringing speakers forward loses nobody', () => {
  const order = ['a', 'b', 'c', 'd', 'e', 'f', 'g'];
  for (let seed = 0; seed < 200; seed++) {
    const speakers = order.filter((_, index) => (seed >> index) & 1).reverse();
    for (const visible of [1, 2, 3, 7, 9]) {
      const placed = withSpeakersVisible(order, speakers, visible);
      assert.deepEqual([...placed].sort(), order);
      for (const speaker of speakers.slice(0, visible)) assert.ok(placed.indexOf(speaker) < visible, `${speaker} of ${speakers} in ${placed}`);
    }
  }
});

test('a large screen has room for more tiles, and none of them is smaller than in a small window', () => {
  assert.equal(tilesPerPage(390, 700), 4);
  assert.equal(tilesPerPage(1280, 640), 9);
  assert.equal(tilesPerPage(1600, 900), 16);
  assert.equal(tilesPerPage(1920, 1150), 25);
  assert.equal(tilesPerPage(3840, 800), 9, 'wide alone is not large');
});

test('in a room that needs pages pictures come first, in the order of before; in a small one nobody moves', () => {
  const hasPicture = (/** @type {string} */ id) => id === 'b' || id === 'd';
  assert.deepEqual(picturesFirst(['a', 'b', 'c', 'd'], hasPicture, 3), ['b', 'd', 'a', 'c']);
  assert.deepEqual(picturesFirst(['a', 'b', 'c', 'd'], hasPicture, 4), ['a', 'b', 'c', 'd']);
});
