const status = document.getElementById("status");
const list = document.getElementById("archives");
const answer = await_json("/api/v1/archives");
answer.then((page) => {
  status.textContent = page.archives.length ? "Archives:" : "There is no archive yet.";
  for (const archive of page.archives) {
    const item = document.createElement("li");
    item.textContent = `${archive.name}: ${archive.indexed_recordings} of ${archive.recordings} recordings indexed`;
    list.append(item);
  }
}, (error) => { status.textContent = error.message; });

async function await_json(path) {
  const response = await fetch(path);
  const body = await response.json();
  if (!response.ok) throw new Error(body.detail);
  return body;
}
