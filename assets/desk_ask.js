/* Questions that the page asks every second. They are those of dash's own callbacks, sent as dash does,
   but past its renderer: there each step from a beat of the clock to an answer, some thirty of them,
   has every component of the page look whether it has changed. Reached as window.pairdesk.asker. */
(function () {
  "use strict";

  const PATH = "/_dash-update-component";
  const RETRY_MS = 3000;
  const MOST_RETRY_MS = 15000;

  const clock = () => window.pairdesk.clock;

  function entries(values) {
    return Object.entries(values).map(([name, value]) => {
      const [id, property] = name.split(".");
      return { id, property, value };
    });
  }

  /** The value of a callback's one output; undefined where there is nothing new. */
  async function answerOf(output, inputs, state, signal) {
    const [id, property] = output.split(".");
    clock().asked();
    const answer = await fetch(PATH, {
      method: "POST",
      headers: { "Content-Type": "application/json", Accept: "application/json" },
      body: JSON.stringify({
        output,
        outputs: { id, property },
        inputs: entries(inputs),
        changedPropIds: Object.keys(inputs),
        state: entries(state),
      }),
      signal,
    });
    if (!answer.ok) {
      throw new Error(`${answer.status}`);
    }
    const told = answer.status === 204 ? {} : (await answer.json()).response; // 204: nothing is new
    clock().answered();
    return told[id] && told[id][property];
  }

  /** One question at a time: while one is under way no other is asked (null), unless it is urgent; one
      without an answer is given up and asked again. Each time it is waited for twice as long: a server
      that is slow gets to answer. */
  function asker(output) {
    let waiting = null;
    let patience = RETRY_MS;
    return async function ask(inputs, state, isUrgent = false) {
      if (waiting && !isUrgent && clock().own() < waiting.until) {
        return null;
      }
      if (waiting) {
        waiting.controller.abort();
        patience = isUrgent ? patience : Math.min(2 * patience, MOST_RETRY_MS);
      }
      const mine = { controller: new AbortController(), until: clock().own() + patience };
      waiting = mine;
      clock().retryAt(mine.until);
      try {
        const told = await answerOf(output, inputs, state, mine.controller.signal);
        patience = RETRY_MS;
        return told;
      } catch (error) {
        console.info(`${output}: ${error.message}`); // the next beat asks again
        return undefined;
      } finally {
        if (waiting === mine) {
          waiting = null;
          clock().retryAt(null);
        }
      }
    };
  }

  window.pairdesk = Object.assign(window.pairdesk || {}, { asker });
})();
