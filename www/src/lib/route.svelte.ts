// Where the page is: a view and its parameters. They live in the fragment of the address, so that every view and filter can
// be shared, and no name of an event reaches a server's log.

export const VIEWS = ['overview', 'goal', 'predictions', 'flags', 'demo', 'status'] as const;
export type View = (typeof VIEWS)[number];
export type Params = Record<string, string | string[] | undefined>;

interface Place {
  view: View;
  params: URLSearchParams;
}

const DEFAULT_NAMESPACE = 'default';

function parse(hash: string): Place {
  const text = hash.replace(/^#\/?/, '');
  const at = text.indexOf('?');
  const name = at < 0 ? text : text.slice(0, at);
  const view = VIEWS.find((known) => known === name) ?? 'overview';
  return { view, params: new URLSearchParams(at < 0 ? '' : text.slice(at + 1)) };
}

function put(params: URLSearchParams, changes: Params): URLSearchParams {
  const result = new URLSearchParams(params);
  for (const [name, value] of Object.entries(changes)) {
    result.delete(name);
    for (const item of typeof value === 'string' ? [value] : (value ?? [])) result.append(name, item);
  }
  if (result.get('namespace') === DEFAULT_NAMESPACE) result.delete('namespace');
  return result;
}

const address = (view: View, params: URLSearchParams) => `#/${view}${params.size > 0 ? `?${params}` : ''}`;

class Route {
  #place = $state.raw(parse(location.hash));
  // Derived, so that who looks at one of them does not see the others change.
  readonly view = $derived(this.#place.view);
  readonly namespace = $derived(this.#place.params.get('namespace') ?? DEFAULT_NAMESPACE);

  constructor() {
    addEventListener('hashchange', () => {
      this.#place = parse(location.hash);
    });
  }

  get(name: string): string | undefined {
    return this.#place.params.get(name) ?? undefined;
  }

  all(name: string): string[] {
    return [...new Set(this.#place.params.getAll(name))];
  }

  /** The address of a view, in this namespace unless another one is given. */
  href(view: View, params: Params = {}): string {
    return address(view, put(new URLSearchParams(), { namespace: this.namespace, ...params }));
  }

  /** Changes parameters of this view, in the place of the present entry of the history. */
  change(changes: Params): void {
    const { view, params } = this.#place;
    const place = { view, params: put(params, changes) };
    history.replaceState(null, '', address(place.view, place.params));
    this.#place = place;
  }

  /** Goes to a view, as a link to it does. */
  go(view: View, params: Params = {}): void {
    location.hash = this.href(view, params);
  }
}

export const route = new Route();
