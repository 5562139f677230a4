// Waiting with a deadline: the tests wait for the thing itself, never for a
// while, and a thing that does not come fails its test instead of hanging it.

const DEADLINE = 10_000;

/** For the start of a program, in ms: the first start reads all that it needs from the disk. */
export const START_DEADLINE = 60_000;

/** Return what `promise` gives, or fail when it takes too long. */
export async function within(promise, what, deadline = DEADLINE) {
  let timer;
  const late = new Promise((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`no ${what} within ${deadline} ms`)), deadline);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
