// Numbers and times as words.

export const grouped = (number) => Math.round(number).toLocaleString("en");

export function rate(number) {
  if (number >= 100) return grouped(number);
  return number >= 10 ? number.toFixed(1) : number === 0 ? "0" : number.toFixed(2);
}

export function milliseconds(number) {
  if (number === null) return "–";
  return number >= 100 ? grouped(number) : String(number);
}

export function duration(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3_600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  if (whole < 86_400) return `${Math.floor(whole / 3_600)} h ${Math.floor((whole % 3_600) / 60)} min`;
  return `${Math.floor(whole / 86_400)} d ${Math.floor((whole % 86_400) / 3_600)} h`;
}

export const clockTime = (date) => date.toLocaleTimeString("en-GB");
const isToday = (date) => date.toDateString() === new Date().toDateString();
export const day = (date) =>
  `${date.getFullYear()}-${String(date.getMonth() + 1).padStart(2, "0")}-${String(date.getDate()).padStart(2, "0")}`;
export const moment = (date) => (isToday(date) ? clockTime(date) : `${day(date)} ${clockTime(date)}`);
