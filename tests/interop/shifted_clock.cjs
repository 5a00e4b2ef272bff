// A clock that is LAYBY_SHIFT_DAYS ahead, for `node --require`: what faketime is for other programs.
const shift = Number(process.env.LAYBY_SHIFT_DAYS) * 86_400_000;
globalThis.Date = class extends Date {
  constructor(...given) {
    super(...(given.length ? given : [Date.now()]));
  }
  static now() {
    return super.now() + shift;
  }
};
