// Swagger UI over the document of this API. Credentials stay in the page: a reload forgets them.
globalThis.ui = globalThis.SwaggerUIBundle({
  dom_id: "#swagger-ui",
  url: "/functions/v1/docs/openapi.json",
  layout: "BaseLayout",
  deepLinking: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  defaultModelExpandDepth: 3,
  displayRequestDuration: true,
  filter: true,
  // the badge of a validator elsewhere
  validatorUrl: null,
});
