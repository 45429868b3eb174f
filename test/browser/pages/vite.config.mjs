/** One script in, one script out, as the server of these tests serves them. */
export default {
  publicDir: false,
  build: {
    outDir: process.env.PAGE_OUT,
    emptyOutDir: false,
    sourcemap: true,
    modulePreload: false,
    rollupOptions: {
      input: { [process.env.PAGE_NAME]: process.env.PAGE_ENTRY },
      output: { entryFileNames: '[name].js' },
    },
  },
};
