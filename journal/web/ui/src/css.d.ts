// Styles are imported for their effect alone: esbuild gathers them into app.css.

declare module "*.css";
