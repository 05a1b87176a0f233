// What the page's reader has beside the text: a mark where one is, previews, buttons. Without it the page is whole.
'use strict';
{
  const find = (selector, within = document) => within.querySelector(selector);
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const make = (name, properties) => Object.assign(document.createElement(name), properties);

  // Where one is: in the section of the last heading that is where a link puts it, or above; near means in pixels.
  const contents = find('#contents'), NEAR = 48;
  const links = new Map(all('a', contents).map(link => [link.hash.slice(1), link]));
  const headings = [...links.keys()].map(id => document.getElementById(id));
  let marked = null;
  function mark() {
    const line = headings.length && parseFloat(getComputedStyle(headings[0]).scrollMarginTop) + NEAR;
    const here = headings.findLast(heading => heading.getBoundingClientRect().top < line);
    if (here === marked) return;
    if (marked) links.get(marked.id).removeAttribute('aria-current');
    marked = here;
    if (!here) return;
    const link = links.get(here.id);
    link.setAttribute('aria-current', 'location');
    contents.scrollTop = link.offsetTop - contents.clientHeight / 2;
  }
  addEventListener('scroll', () => requestAnimationFrame(mark), { passive: true });
  addEventListener('resize', mark);
  mark();
  contents.addEventListener('toggle', mark);
  contents.addEventListener('click', ({ target }) => {
    if (target.closest('a') && contents.matches(':popover-open')) contents.hidePopover();
  });

  // What a reference means, beside it, while it has the pointer or the focus.
  const preview = make('div', { id: 'preview', popover: 'manual' });
  document.body.append(preview);
  let timer = null, shown = null;
  const later = (act, milliseconds) => { clearTimeout(timer); timer = setTimeout(act, milliseconds); };
  const hide = () => { if (shown) preview.hidePopover(); shown = null; };
  function copy(element) {
    const copied = element.cloneNode(true);
    all('.live, .anchor, .back', copied).forEach(each => each.remove());
    [copied, ...all('[id], [tabindex], .alive', copied)].forEach(each => {
      ['id', 'tabindex'].forEach(name => each.removeAttribute(name));
      each.classList.remove('alive');
    });
    return copied;
  }
  function show(link) {
    const target = document.getElementById(link.hash.slice(1));
    if (!target || link === shown) return;
    hide();
    const whole = target.closest('.table') ?? target, heading = /^H\d$/.test(target.tagName);
    preview.replaceChildren(...[whole, heading && whole.nextElementSibling].filter(Boolean).map(copy));
    preview.showPopover();
    shown = link;
    const place = link.getBoundingClientRect(), { width, height } = preview.getBoundingClientRect();
    const below = place.bottom + height + 8 < innerHeight || place.top < innerHeight / 2;
    preview.style.left = `${Math.max(8, Math.min(place.left - 20, document.documentElement.clientWidth - width - 8))}px`;
    preview.style.top = `${Math.max(8, below ? place.bottom + 4 : place.top - height - 4)}px`;
    preview.scrollTop = 0;
  }
  for (const link of all('main :is(a.ref, a[role=doc-biblioref])')) {
    // not where the page is scrolled under a pointer that rests
    link.addEventListener('pointermove', ({ pointerType }) => pointerType === 'mouse' && later(() => show(link), 200));
    link.addEventListener('focus', () => link.matches(':focus-visible') && later(() => show(link), 200));
    for (const leave of ['pointerleave', 'blur', 'click']) link.addEventListener(leave, () => later(hide, 250));
  }
  preview.addEventListener('pointerenter', () => clearTimeout(timer));
  preview.addEventListener('pointerleave', () => later(hide, 250));
  addEventListener('scroll', () => { if (shown) later(hide, 0); }, { passive: true });
  addEventListener('keydown', ({ key }) => { if (key === 'Escape') later(hide, 0); });

  // Code: all of it at once, and each to be taken along.
  const every = find('#all-code');
  every.parentNode.hidden = !find('details.code');
  every.addEventListener('change', () => all('details.code').forEach(each => { each.open = every.checked; }));
  for (const code of all('details pre')) {
    const button = make('button', { type: 'button', className: 'copy', textContent: 'Copy' });
    button.onclick = async () => {
      getSelection().selectAllChildren(code);
      const done = await navigator.clipboard?.writeText(code.textContent).then(() => true, () => false);
      button.textContent = done ? 'Copied' : 'Selected';
    };
    (code.closest('div.sourceCode') ?? code).before(button);
  }

  // The style does it; the live figure sees by this that its colours are others.
  find('#swap').addEventListener('change', ({ target }) => document.documentElement.toggleAttribute('data-swapped', target.checked));
}
