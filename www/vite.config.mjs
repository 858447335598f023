import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vite';

// The dashboard: www/ into www/dist/. Files with a hash in their names lie under dashboard/ and are cached for ever.
export default defineConfig({
  root: import.meta.dirname,
  // Under any path: files are found from the page and from each other.
  base: './',
  publicDir: false,
  plugins: [svelte()],
  build: {
    outDir: 'dist',
    emptyOutDir: true,
    assetsDir: 'dashboard',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    target: 'es2022',
    // What the licences of bundled packages ask for.
    license: { fileName: 'dashboard/THIRD-PARTY.txt' },
  },
});
