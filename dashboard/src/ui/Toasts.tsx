import { Toast } from "@base-ui/react/toast";
import { X } from "lucide-react";
import { toasts } from "./toasts";

export function Toasts() {
  return (
    <Toast.Provider toastManager={toasts}>
      <Toast.Portal>
        <Toast.Viewport className="toasts">
          <List />
        </Toast.Viewport>
      </Toast.Portal>
    </Toast.Provider>
  );
}

function List() {
  const { toasts: shown } = Toast.useToastManager();
  return shown.map((toast) => (
    <Toast.Root key={toast.id} toast={toast} className="toast" data-type={toast.type}>
      <div>
        <Toast.Title className="toast__title" render={<p />} />
        <Toast.Description className="toast__text" />
      </div>
      <Toast.Close className="button button--plain button--icon" aria-label="Dismiss">
        <X aria-hidden />
      </Toast.Close>
    </Toast.Root>
  ));
}
