/* The charts as a picture file with their captions and labels, and over the whole screen. */
(function () {
  "use strict";

  const IDS = {
    charts: "live-charts",
    chart: "live-pair-chart",
    overlay: "live-overlay",
    plots: "live-plots",
  };
  const SCALE = 2;

  function loaded(source) {
    return new Promise((done, failed) => {
      const image = new Image();
      image.onload = () => done(image);
      image.onerror = failed;
      image.src = source;
    });
  }

  /** What is drawn over the charts, with its look written into it: a picture knows no style sheet. */
  function overlayImage(width, height) {
    const svg = document.querySelector(`#${IDS.overlay} svg`);
    if (!svg) {
      return null;
    }
    const copy = svg.cloneNode(true);
    copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
    copy.setAttribute("width", width);
    copy.setAttribute("height", height);
    const originals = svg.querySelectorAll("*");
    copy.querySelectorAll("*").forEach((part, index) => {
      const look = getComputedStyle(originals[index]);
      for (const name of ["fill", "stroke", "stroke-width", "stroke-dasharray", "font-size", "font-weight", "font-family", "dominant-baseline", "text-anchor"]) {
        part.style.setProperty(name, look.getPropertyValue(name));
      }
    });
    return loaded(`data:image/svg+xml;charset=utf-8,${encodeURIComponent(new XMLSerializer().serializeToString(copy))}`);
  }

  /** Every piece of a caption's text where it stands, in the look of what it stands in. */
  function drawWords(context, element, frame) {
    const place = document.createRange();
    for (const part of element.children) {
      const { left, top, width, height } = part.getBoundingClientRect();
      context.save();
      context.beginPath();
      context.rect(left - frame.left, top - frame.top, width, height); // what is cut on screen is cut here
      context.clip();
      const texts = document.createTreeWalker(part, NodeFilter.SHOW_TEXT);
      while (texts.nextNode()) {
        const words = texts.currentNode;
        const look = getComputedStyle(words.parentElement);
        place.selectNodeContents(words);
        const box = place.getBoundingClientRect();
        context.fillStyle = look.color;
        context.font = `${look.fontWeight} ${look.fontSize} ${look.fontFamily}`;
        context.fillText(words.data, box.left - frame.left, box.top + box.height / 2 - frame.top);
      }
      context.restore();
    }
  }

  async function picture() {
    const plot = window.pairdesk.charts.plotOf(IDS.chart);
    const place = document.getElementById(IDS.plots);
    const frame = place.getBoundingClientRect();
    const size = { width: frame.width, height: frame.height };
    const canvas = document.createElement("canvas");
    canvas.width = size.width * SCALE;
    canvas.height = size.height * SCALE;
    const context = canvas.getContext("2d");
    context.scale(SCALE, SCALE);
    context.textBaseline = "middle";
    const drawn = await window.Plotly.toImage(plot, { format: "png", scale: SCALE, ...size });
    for (const image of [await loaded(drawn), await overlayImage(size.width, size.height)]) {
      if (image) {
        context.drawImage(image, 0, 0, size.width, size.height);
      }
    }
    for (const caption of place.querySelectorAll(".caption")) {
      drawWords(context, caption, frame);
    }
    return canvas;
  }

  async function save() {
    const canvas = await picture();
    const link = document.createElement("a");
    const { view } = window.pairdesk.charts.plotOf(IDS.chart)._fullLayout.meta;
    link.download = `${view.replaceAll(" ", "-")}.png`;
    link.href = canvas.toDataURL("image/png");
    link.click();
  }

  document.addEventListener("click", ({ target }) => {
    const button = target.closest && target.closest(`#${IDS.charts} [data-do]`);
    const what = button && button.dataset.do;
    if (what === "picture" && window.pairdesk.charts.plotOf(IDS.chart)) {
      save();
    } else if (what === "screen") {
      const panel = document.getElementById(IDS.charts);
      document.fullscreenElement ? document.exitFullscreen() : panel.requestFullscreen();
    }
  });
  document.addEventListener("fullscreenchange", () => {
    const button = document.querySelector(`#${IDS.charts} [data-do=screen]`);
    if (button) {
      button.setAttribute("aria-pressed", String(Boolean(document.fullscreenElement)));
    }
  });
})();
