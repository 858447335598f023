/** Keeps other tabs out of what has this name while `use` runs, where the browser can do that. */
export async function alone(name, use) {
  let hasBegun = false;
  const begin = () => {
    hasBegun = true;
    return use();
  };

  try {
    return await navigator.locks.request(name, begin);
  } catch (error) {
    if (hasBegun) throw error;
    return use(); // No locks here, or none for this page.
  }
}
