// anywidget gives up on a model whose script takes over two seconds to load, as Plotly's does on a busy machine: it
// drops whatever Python sends from then on. So hear Python without it, once what it changes is there.
const hear = async (manager, id, drawn) => {
  const figure = await manager.get_model(id);
  let kind = Object.getPrototypeOf(figure);
  while (!Object.hasOwn(kind, "_handle_comm_msg")) kind = Object.getPrototypeOf(kind);
  const plain = Object.getPrototypeOf(kind)._handle_comm_msg;
  figure.comm?.on_msg(async (message) => { await drawn; return plain.call(figure, message); });
};

