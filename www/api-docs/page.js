// Shows the document that lies beside this page. A token is asked for by the viewer's own button.
window.SwaggerUIBundle({
  url: 'openapi.json',
  dom_id: '#api',
  deepLinking: true,
  validatorUrl: null, // The viewer's own would send the document's address to another server.
});
