"use strict";
// The live figure. One script twice: the page's, which draws, and a worker's, which computes. advlib.report.live writes
// the weights and images that it reads; the attacks are those of advlib/_search.py, step by step.

// ---- The engine: one image, a list of layers, forwards and backwards ------------------------------------------------

const decode = (text, Kind) => new Kind(Uint8Array.from(atob(text), sign => sign.charCodeAt(0)).buffer);

// Where in an image each value of each window lies, window by window; -1 in the padding.
function findWindows([channels, height, width], size, stride, padding) {
  const count = [height, width].map((n, axis) => Math.floor((n + 2 * padding[axis] - size[axis]) / stride[axis]) + 1);
  const places = new Int32Array(count[0] * count[1] * channels * size[0] * size[1]);
  let next = 0;
  for (let down = 0; down < count[0]; down++) for (let across = 0; across < count[1]; across++)
    for (let channel = 0; channel < channels; channel++)
      for (let i = 0; i < size[0]; i++) for (let j = 0; j < size[1]; j++) {
        const row = down * stride[0] + i - padding[0], column = across * stride[1] + j - padding[1];
        const inside = row >= 0 && row < height && column >= 0 && column < width;
        places[next++] = inside ? (channel * height + row) * width + column : -1;
      }
  return { places, count };
}

// Each kind of layer, of an image's shape: the shape that comes out, `forward`, and `backward`, which takes the slope of
// a loss from what came out last to what went in.
const LAYERS = {
  Conv2d(layer, shape) {
    const { places, count } = findWindows(shape, layer.size, layer.stride, layer.padding);
    const windows = count[0] * count[1], length = places.length / windows, inputs = shape[0] * shape[1] * shape[2];
    const scales = decode(layer.scales, Float32Array), bias = decode(layer.bias, Float32Array), outputs = bias.length;
    const weights = Float64Array.from(decode(layer.weights, Int8Array), (n, at) => n * scales[Math.floor(at / length)]);
    return {
      shape: [outputs, ...count],
      forward(image) {
        const seen = new Float64Array(places.length), result = new Float64Array(outputs * windows);
        for (let n = 0; n < places.length; n++) seen[n] = places[n] < 0 ? 0 : image[places[n]];
        for (let output = 0; output < outputs; output++) for (let window = 0; window < windows; window++) {
          let sum = bias[output], odd = 0; // two sums at once take half the time
          let n = 0, w = output * length, s = window * length;
          for (; n + 1 < length; n += 2, w += 2, s += 2) {
            sum += weights[w] * seen[s];
            odd += weights[w + 1] * seen[s + 1];
          }
          result[output * windows + window] = sum + odd + (n < length ? weights[w] * seen[s] : 0);
        }
        return result;
      },
      backward(slope) {
        const seen = new Float64Array(length), result = new Float64Array(inputs);
        for (let window = 0; window < windows; window++) {
          seen.fill(0);
          for (let output = 0; output < outputs; output++) {
            const factor = slope[output * windows + window];
            if (factor) for (let n = 0, w = output * length; n < length; n++) seen[n] += factor * weights[w + n];
          }
          for (let n = 0, s = window * length; n < length; n++) if (places[s + n] >= 0) result[places[s + n]] += seen[n];
        }
        return result;
      },
    };
  },
  Linear: (layer, shape) => // a convolution with one window
    LAYERS.Conv2d({ ...layer, size: [1, 1], stride: [1, 1], padding: [0, 0] }, [shape[0] * shape[1] * shape[2], 1, 1]),
  MaxPool2d(layer, [channels, height, width]) {
    const { places, count } = findWindows([1, height, width], layer.size, layer.stride, [0, 0]);
    const windows = count[0] * count[1], length = places.length / windows, largest = new Int32Array(channels * windows);
    return {
      shape: [channels, ...count],
      forward(image) {
        const result = new Float64Array(channels * windows);
        for (let at = 0; at < result.length; at++) {
          const from = Math.floor(at / windows) * height * width, window = at % windows * length;
          let best = from + places[window]; // the first of equals, as in PyTorch
          for (let n = 1; n < length; n++) if (image[from + places[window + n]] > image[best]) best = from + places[window + n];
          largest[at] = best;
          result[at] = image[best];
        }
        return result;
      },
      backward(slope) {
        const result = new Float64Array(channels * height * width);
        slope.forEach((value, at) => { result[largest[at]] += value; });
        return result;
      },
    };
  },
  ReLU(layer, shape) {
    let last;
    return {
      shape,
      forward: image => (last = image.map(value => Math.max(value, 0))),
      backward: slope => slope.map((value, at) => last[at] > 0 ? value : 0),
    };
  },
  Flatten: (layer, shape) => ({ shape: [shape[0] * shape[1] * shape[2], 1, 1], forward: x => x, backward: x => x }),
};

// A network from what the page has of it: `forward` gives an image's logits.
function readNetwork(model, [height, width]) {
  let shape = [1, height, width];
  const layers = model.layers.map(layer => {
    const read = LAYERS[layer.kind](layer, shape);
    shape = read.shape;
    return read;
  });
  return {
    forward: image => layers.reduce((values, layer) => layer.forward(values), image),
    backward: slope => layers.reduceRight((values, layer) => layer.backward(values), slope),
  };
}

// The log-odds of all other classes together against one, and their slope: exact where the softmax has rounded to 1.
function findLogOdds(logits, label) {
  const others = logits.map((logit, at) => at === label ? -Infinity : logit), top = Math.max(...others);
  const powers = others.map(logit => Math.exp(logit - top)), sum = powers.reduce((one, other) => one + other);
  const slope = powers.map((power, at) => at === label ? -1 : power / sum);
  return { value: top + Math.log(sum) - logits[label], slope };
}

// What an attack raises: the loss, away from the label or towards a target, and its slope at the logits.
function findLoss(network, image, { label, target }) {
  const towards = target !== null, way = towards ? -1 : 1;
  const { value, slope } = findLogOdds(network.forward(image), towards ? target : label);
  return { loss: way * value, slope: slope.map(each => way * each) };
}

const moveWithin = (image, size, signs, { low, high }) => // Float32Array rounds each sum once, as PyTorch does
  image.map((value, at) => value + size * Math.sign(signs[at])).map((value, at) => Math.min(Math.max(value, low[at]), high[at]));

// From an image `steps` steps up the loss, each kept within epsilon and the limits: PGD, and FGSM, which is one of them.
function climb(network, image, aim, epsilon, steps, limits) {
  const most = Math.fround(epsilon), step = Math.fround(Math.min(2.5 / steps, 1) * epsilon), up = image.map(() => 1);
  const box = { low: moveWithin(image, -most, up, limits), high: moveWithin(image, most, up, limits) };
  const points = [image], losses = [];
  for (const point of points) {
    const { loss, slope } = findLoss(network, point, aim);
    losses.push(loss);
    if (points.length <= steps) points.push(moveWithin(point, step, network.backward(slope), box));
  }
  return { points, losses, best: findLargest(losses) };
}

const findLargest = values => values.indexOf(Math.max(...values));

// The smallest epsilon at which FGSM on this network misleads it, as advlib.explore looks for it: multiples of 0.01 up
// to 1, then below the first that does those of 0.001. `pause` lets others have their turn, and may end it.
async function findSmallest(network, image, aim, limits, pause = async () => {}) {
  const signs = network.backward(findLoss(network, image, aim).slope);
  const misled = thousandths => {
    const found = findLargest(network.forward(moveWithin(image, Math.fround(thousandths / 1000), signs, limits)));
    return aim.target === null ? found !== aim.label : found === aim.target;
  };
  let coarse = 0;
  for (; !misled(coarse); coarse += 10, await pause()) if (coarse === 1000) return Infinity;
  for (let fine = Math.max(coarse - 9, 0); fine < coarse; fine++, await pause()) if (misled(fine)) return fine / 1000;
  return coarse / 1000;
}

// What the page has, decoded: networks, limits of what is valid, images on the training scale from bytes, and pixels.
function readLive(live) {
  const mean = decode(live.mean, Float64Array), range = live.high - live.low;
  return {
    networks: live.models.map(model => readNetwork(model, live.shape)),
    valid: { low: decode(live.lowest, Float32Array), high: decode(live.highest, Float32Array) },
    free: { low: mean.map(() => -Infinity), high: mean.map(() => Infinity) },
    toInputs: bytes => Float32Array.from(bytes, (byte, at) => (byte / 255 - mean[at] - live.low) / range),
    toPixels: image => Float32Array.from(image, (value, at) => value * range + live.low + mean[at]),
  };
}

// ---- The worker: what is asked last is answered, then the smallest epsilons, which take longer ----------------------

function work() {
  let live, newest;
  const kept = {};
  function recall(kind, key, compute) { // what was computed last of a kind, where that was for the same
    if (kept[kind]?.key !== key) kept[kind] = { key, value: compute() };
    return kept[kind].value;
  }
  const findShares = (network, image) => {
    const logits = network.forward(image), top = Math.max(...logits), powers = logits.map(logit => Math.exp(logit - top));
    return powers.map(power => power / powers.reduce((one, other) => one + other));
  };
  async function answer({ id, bytes, label, target, model, attack, epsilon, steps, valid, step }) {
    newest = id;
    const image = live.toInputs(bytes), limits = valid ? live.valid : live.free, all = live.networks;
    const before = recall('before', bytes.join(), () => all.map(network => findShares(network, image)));
    const aim = { label: label ?? findLargest(before[model]), target };
    const of = [bytes.join(), aim.label, target, valid].join(';');
    const path = recall('path', [of, model, attack, epsilon].join(';'),
      () => climb(all[model], image, aim, epsilon, attack === 'PGD' ? steps : 1, limits));
    const at = attack === 'PGD' ? step ?? path.best : 1;
    postMessage({
      id, aim, before, step: at, clean: live.toPixels(image), changed: live.toPixels(path.points[at]),
      after: all.map(network => findShares(network, path.points[at])),
    });
    const smallest = recall('smallest', of, () => []);
    const pause = () => new Promise((go, stop) => setTimeout(() => newest === id ? go() : stop()));
    for (let each = 0; each < all.length; each++) {
      await pause();
      smallest[each] ??= await findSmallest(all[each], image, aim, limits, pause);
      postMessage({ id, smallest });
    }
  }
  onmessage = ({ data }) => data.models ? live = readLive(data) : answer(data).catch(error => { if (error) throw error; });
}

// ---- The page: what is chosen, and what comes of it ------------------------------------------------------------------

const STEPS = 20, DRAWN = 280;
const escapeText = text => String(text).replace(/[&<>"]/g, sign => `&#${sign.charCodeAt(0)};`);

// What is drawn, as MNIST's digits are: 20 pixels high or wide, their centre of mass in the middle; null for nothing.
function readDrawing(context) {
  const ink = context.getImageData(0, 0, DRAWN, DRAWN).data.filter((_, at) => at % 4 === 3);
  let mass = 0, x = 0, y = 0, left = DRAWN, right = 0, top = DRAWN, bottom = 0;
  ink.forEach((value, at) => {
    if (value < 38) return; // 15 % of the darkest
    const column = at % DRAWN, row = Math.floor(at / DRAWN);
    [mass, x, y] = [mass + value, x + value * (column + 0.5), y + value * (row + 0.5)];
    [left, right, top, bottom] = [Math.min(left, column), Math.max(right, column), Math.min(top, row), Math.max(bottom, row)];
  });
  if (!mass) return null;
  const size = Math.max(right - left + 1, bottom - top + 1) / 20, fine = 8, bytes = new Array(28 * 28).fill(0);
  const find = (place, n, middle) => Math.floor(middle + (place + (n + 0.5) / fine - 14) * size);
  return bytes.map((_, at) => { // the mean of 8 x 8 points of each pixel
    let sum = 0;
    for (let i = 0; i < fine; i++) for (let j = 0; j < fine; j++) {
      const row = find(Math.floor(at / 28), i, y / mass), column = find(at % 28, j, x / mass);
      if (row >= 0 && row < DRAWN && column >= 0 && column < DRAWN) sum += ink[row * DRAWN + column];
    }
    return Math.round(sum / fine ** 2);
  });
}

function writeFigure({ models, classes, first, hard, labels, epsilon, shape, measured }) {
  const names = models.map(model => escapeText(model.name));
  const radio = (group, value, words, checked) =>
    `<label><input type="radio" name="live-${group}" value="${value}"${checked ? ' checked' : ''}>${words}</label>`;
  const digit = (index, words) => `<label class="digit"><input type="radio" name="live-image" value="${index}"
    aria-label="${escapeText(classes[labels[index]])}${words}"><canvas></canvas></label>`;
  const picture = (name, words) => `<div><canvas class="${name}" role="img" aria-label="${words}"></canvas>
    ${words.replace(' image', '')}</div>`;
  const kept = at => `${Math.min(...models.map(model => model.kept[at])).toFixed(1)} %`;
  const many = models.length > 1 ? 'of each model' : 'of the model';
  return `
  <div class="choices">
    <fieldset class="digits"><legend>An image of each class</legend>${first.map(index => digit(index, '')).join('')}</fieldset>
    <fieldset class="digits"><legend>Hard ones</legend>${hard.map(index => digit(index, ', a hard one')).join('')}
      <button type="button" class="random">Random</button>
      ${shape.join() === '28,28' ? '<button type="button" class="draw" aria-expanded="false">Draw</button>' : ''}</fieldset>
    <div class="drawing" hidden><canvas width="${DRAWN}" height="${DRAWN}" role="img" aria-label="Draw here with the mouse or
      a finger"></canvas><button type="button" class="clear">Clear</button></div>
    <fieldset><legend>Attack</legend>${radio('attack', 'FGSM', 'FGSM, one step', true)}
      ${radio('attack', 'PGD', `PGD, ${STEPS} steps`)}</fieldset>
    <fieldset><legend>Made against</legend>${names.map((name, at) => radio('model', at, name, !at)).join('')}</fieldset>
    <label class="slider"><span>Size, <i>ε</i></span><input type="range" class="epsilon" max="${Math.max(0.5, epsilon)}" step="0.005"
      value="${epsilon}"><output></output></label>
    <label class="slider" hidden><span>Step</span><input type="range" class="step" max="${STEPS}"><output></output></label>
    <label><input type="checkbox" class="valid" checked>Keep every pixel between black and white</label>
  </div>
  <div class="pictures">${picture('clean', 'image')}<span aria-hidden="true">+</span>${picture('change', 'perturbation')}
    <span aria-hidden="true">=</span>${picture('changed', 'adversarial image')}</div>
  <table><caption>Probability of each class <b class="before"></b> before and <b class="after"></b>
      after the attack. Choose a class to lead the models to it.</caption>
    <thead><tr><td></td>${names.map(name => `<th scope="col">${name}<span></span><span></span></th>`).join('')}</tr></thead>
    <tbody>${classes.map(name => `<tr><th scope="row"><button type="button" aria-pressed="false"
      title="Lead the models to this class">${escapeText(name)}</button></th>${'<td><b></b><b></b><span></span></td>'.repeat(models.length)}</tr>`).join('')}
    </tbody><tfoot><tr><th scope="row">fooled from <i>ε</i></th>${'<td></td>'.repeat(models.length)}</tr></tfoot></table>
  <p class="found" role="status"></p>
  <p class="about">Your browser computes all of this, with this report’s own models. They have 8 bits a weight here, which
    leaves at least ${kept(0)} of the predictions ${many} on ${measured.toLocaleString('en')} clean test images as they were,
    and ${kept(1)} on adversarial ones. “Fooled from” is the smallest <i>ε</i> of FGSM against each model itself, looked for
    in steps of 0.01, and then of 0.001.</p>`;
}

function show(figure, live, source) {
  const root = document.createElement('div'), find = (selector, within = root) => within.querySelector(selector);
  const all = selector => [...root.querySelectorAll(selector)], images = decode(live.images, Uint8Array);
  const [height, width] = live.shape, name = at => live.classes[at];
  const size = height * width, take = index => Array.from(images.subarray(index * size, index * size + size));
  root.className = 'live';
  root.innerHTML = writeFigure(live);
  figure.prepend(root);
  figure.classList.add('alive');
  const chosen = { bytes: null, label: null, target: null, step: null };
  const worker = new Worker(URL.createObjectURL(new Blob([source])));
  worker.postMessage(live);

  // Ask the worker, or once it has answered what it is at: the last question counts.
  let id = 0, busy = false, again = false, last = null;
  function ask() {
    again = busy;
    if (busy || !chosen.bytes) return;
    busy = true;
    worker.postMessage({
      ...chosen, id: ++id, steps: STEPS, epsilon: Number(find('.epsilon').value), valid: find('.valid').checked,
      model: Number(find('[name=live-model]:checked').value), attack: find('[name=live-attack]:checked').value,
    });
  }
  worker.onmessage = ({ data }) => {
    if (data.smallest) return data.id === id && !busy && tellSmallest(data.smallest);
    [last, busy] = [data, false];
    tell(data);
    if (again) ask();
  };

  function readColour(colour) {
    const context = new OffscreenCanvas(1, 1).getContext('2d');
    context.fillStyle = colour;
    context.fillRect(0, 0, 1, 1);
    return context.getImageData(0, 0, 1, 1).data;
  }
  function paint(canvas, values, positive, negative = positive) { // of each value so much of a colour on paper
    const paper = readColour(getComputedStyle(document.body).backgroundColor), picture = new ImageData(width, height);
    values.forEach((value, at) => picture.data.set([0, 1, 2].map(channel => {
      const share = Math.min(Math.abs(value), 1), colour = value < 0 ? negative : positive;
      return share * colour[channel] + (1 - share) * paper[channel];
    }).concat(255), 4 * at));
    Object.assign(canvas, { width, height }).getContext('2d').putImageData(picture, 0, 0);
  }
  const readStyle = variable => readColour(getComputedStyle(root).getPropertyValue(variable));
  const asInk = pixels => Array.from(pixels, value => Math.max(value, 0));

  const readInk = () => readColour(getComputedStyle(root).color);
  function paintAll() {
    all('.digit').forEach(each => paint(find('canvas', each), take(find('input', each).value).map(byte => byte / 255), readInk()));
    if (last) paintPictures();
  }
  function paintPictures() {
    const ink = readInk(), change = Array.from(last.changed, (value, at) => value - last.clean[at]);
    const most = Math.max(...change.map(Math.abs)) || 1;
    paint(find('.clean'), asInk(last.clean), ink);
    paint(find('.change'), change.map(value => value / most), readStyle('--after'), readStyle('--before'));
    paint(find('.changed'), asInk(last.changed), ink);
  }

  function tell({ aim, before, after, step }) {
    paintPictures();
    const epsilon = Number(find('.epsilon').value), percent = share => `${(100 * share).toFixed(1)} %`;
    const size = `${epsilon.toFixed(3)}, ${percent(epsilon * (live.high - live.low))} of black to white`;
    find('.epsilon').nextSibling.textContent = size;
    find('.epsilon').setAttribute('aria-valuetext', size);
    const steps = find('.step'), many = find('[name=live-attack]:checked').value === 'PGD';
    steps.parentNode.hidden = !many;
    steps.value = step;
    steps.nextSibling.textContent = `${step} of ${STEPS}${chosen.step === null ? ', the largest loss' : ''}`;
    const verdicts = { fooled: [], holds: [], wrong: [] };
    all('thead th').forEach((cell, at) => {
      const [was, is] = [before[at], after[at]].map(findLargest);
      const fooled = aim.target === null ? is !== aim.label : is === aim.target;
      verdicts[aim.target === null && was !== aim.label ? 'wrong' : fooled ? 'fooled' : 'holds'].push(live.models[at].name);
      [cell.children[0].textContent, cell.children[1].textContent] = [`${name(was)} → ${name(is)}`, percent(after[at][is])];
      cell.classList.toggle('fooled', fooled);
    });
    all('tbody tr').forEach((row, label) => {
      row.classList.toggle('true', label === aim.label);
      find('button', row).setAttribute('aria-pressed', label === aim.target);
      row.querySelectorAll('td').forEach((cell, at) => {
        [before, after].forEach((shares, when) => { cell.children[when].style.width = percent(shares[at][label]).replace(' ', ''); });
        cell.children[2].textContent = `before ${percent(before[at][label])}, after ${percent(after[at][label])}`;
      });
    });
    const to = aim.target === null ? 'Fooled' : `Led to ${name(aim.target)}`, words = [
      [`A ${name(aim.label)}`, []], [to, verdicts.fooled], [`Not ${to.toLowerCase()}`, verdicts.holds],
      ['Wrong without an attack', verdicts.wrong],
    ].filter(([, names], at) => !at || names.length).map(([word, names]) => names.length ? `${word}: ${names.join(', ')}.` : `${word}.`).join(' ');
    if (find('.found').textContent !== words) find('.found').textContent = words; // read out only when it is another
    tellSmallest([]);
    root.dispatchEvent(new Event('shown'));
  }
  function tellSmallest(smallest) {
    all('tfoot td').forEach((cell, at) => {
      const value = smallest[at];
      cell.textContent = value === undefined ? '…' : value === Infinity ? 'none up to 1' : value.toFixed(3);
    });
  }

  // What the reader does.
  function choose(bytes, label) {
    Object.assign(chosen, { bytes, label, target: null, step: null });
    ask();
  }
  root.addEventListener('input', ({ target }) => {
    if (target.name === 'live-image') return choose(take(target.value), live.labels[target.value]);
    chosen.step = target.className === 'step' ? Number(target.value) : null;
    ask();
  });
  find('tbody').addEventListener('click', ({ target }) => {
    const label = all('tbody tr').indexOf(target.closest('tr'));
    chosen.target = label === chosen.target || label === last?.aim.label ? null : label;
    ask();
  });
  find('.random').onclick = () => {
    all('[name=live-image]').forEach(each => { each.checked = false; });
    const index = Math.floor(Math.random() * live.labels.length);
    choose(take(index), live.labels[index]);
  };
  if (find('.draw')) listenToDrawing(root, bytes => {
    all('[name=live-image]').forEach(each => { each.checked = false; });
    choose(bytes, null); // it is taken for what the attacked model says of it
  });
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', paintAll);
  new MutationObserver(paintAll).observe(document.documentElement, { attributes: true });
  paintAll();
  find('[name=live-image]').click();
}

// Draw with a mouse, pen or finger; what is drawn is handed on, as an image's bytes.
function listenToDrawing(root, hand) {
  const box = root.querySelector('.drawing'), canvas = box.querySelector('canvas'), opener = root.querySelector('.draw');
  const context = canvas.getContext('2d', { willReadFrequently: true });
  const clear = () => context.clearRect(0, 0, DRAWN, DRAWN);
  const place = event => [event.offsetX, event.offsetY].map(value => value * DRAWN / canvas.clientWidth);
  opener.onclick = () => {
    box.hidden = !box.hidden;
    opener.setAttribute('aria-expanded', !box.hidden);
  };
  box.querySelector('.clear').onclick = clear;
  let from = null;
  canvas.onpointerdown = event => {
    canvas.setPointerCapture(event.pointerId);
    from = place(event);
    canvas.onpointermove(event);
  };
  canvas.onpointermove = event => {
    if (!from) return;
    Object.assign(context, { lineWidth: 24, lineCap: 'round', strokeStyle: getComputedStyle(root).color });
    context.beginPath();
    context.moveTo(...from);
    context.lineTo(...(from = place(event)));
    context.stroke();
  };
  canvas.onpointerup = canvas.onpointercancel = () => {
    from = null;
    const bytes = readDrawing(context);
    if (bytes) hand(bytes);
  };
}

if (typeof document === 'undefined') work();
else show(document.getElementById('fig-live'), JSON.parse(document.getElementById('live').content.textContent),
  document.currentScript.textContent);
