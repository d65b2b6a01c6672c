import { Dialog } from "@base-ui/react/dialog";
import { X } from "lucide-react";
import type { ReactNode } from "react";

interface Props {
  title: string;
  about?: ReactNode;
  small?: boolean;
  onClose: () => void;
  children: ReactNode;
  foot: ReactNode;
}

/** A dialog: focus stays inside, Escape closes it, and what is behind cannot be reached. */
export function Modal({ title, about, small, onClose, children, foot }: Props) {
  return (
    <Dialog.Root open onOpenChange={(open) => !open && onClose()}>
      <Dialog.Portal>
        <Dialog.Backdrop className="backdrop" />
        <Dialog.Popup className={small ? "dialog dialog--small" : "dialog"}>
          <header className="dialog__head">
            <div>
              <Dialog.Title>{title}</Dialog.Title>
              {about && <Dialog.Description render={<div />}>{about}</Dialog.Description>}
            </div>
            <Dialog.Close className="button button--plain button--icon" aria-label="Close">
              <X aria-hidden />
            </Dialog.Close>
          </header>
          <div className="dialog__body">{children}</div>
          <footer className="dialog__foot">{foot}</footer>
        </Dialog.Popup>
      </Dialog.Portal>
    </Dialog.Root>
  );
}
