"""HTTP interface of translations: the routes, their OpenAPI description, and the page that uses them."""
